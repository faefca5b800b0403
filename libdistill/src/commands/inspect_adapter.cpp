#include <map>
#include <set>

#include <distill/core/strings.h>
#include <distill/lora/peft.h>

#include "commands/inspect_kinds.h"

namespace distill::commands {

namespace {

/// `16`, or `8 (2), 16 (120)`.
std::string counted(const std::map<double, std::int64_t>& counts) {
  std::string text;
  for (const auto& [value, count] : counts) {
    const std::string how_often = counts.size() > 1 ? core::concat(" (", count, ")") : "";
    text += core::concat(text.empty() ? "" : ", ", value, how_often);
  }
  return text;
}

const char* method(const nn::AdapterOptions& options) {
  if (options.dora) return options.rslora ? "DoRA, scaled by alpha / sqrt(rank)" : "DoRA";
  return options.rslora ? "rsLoRA" : "LoRA";
}

}  // namespace

Inspection inspect_adapter_folder(const InspectOptions& options) {
  Inspection inspection;
  inspection.kind = "adapter folder";
  const lora::AdapterConfig config = lora::read_adapter_config(options.path);
  std::map<double, std::int64_t> ranks, alphas;
  std::set<std::string> ends;
  for (const auto& [module, adapter] : config.choice) {
    ++ranks[static_cast<double>(adapter.rank)];
    ++alphas[adapter.alpha];
    ends.insert(core::printable(module.substr(module.rfind('.') + 1)));
  }
  auto& facts = inspection.facts;
  facts.emplace_back("method", method(config.options));
  facts.emplace_back(
      "base", config.base_model.empty() ? "(not given)" : core::printable(config.base_model, 200));
  facts.emplace_back("base fingerprint", config.fingerprint.empty()
                                             ? "(not given)"
                                             : core::printable(config.fingerprint));
  facts.emplace_back("rank", counted(ranks));
  facts.emplace_back("alpha", counted(alphas));
  facts.emplace_back("modules",
                     core::concat(config.choice.size(), ": ",
                                  core::join(std::vector<std::string>(ends.begin(), ends.end()))));
  facts.emplace_back("tensors", std::to_string(config.num_tensors));
  facts.emplace_back("parameters", core::with_thousands(config.num_parameters));
  if (options.check && !options.model.empty()) {
    collect_problem(inspection, [&] {
      lora::load_with_adapter(options.model, options.path, {.dtype = c10::ScalarType::BFloat16});
    });
  } else if (options.check) {
    collect_problem(inspection, [&] { lora::check_values(options.path); });
  }
  return inspection;
}

}  // namespace distill::commands
