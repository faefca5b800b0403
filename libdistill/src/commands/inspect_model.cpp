#include <algorithm>
#include <map>

#include <ATen/core/Tensor.h>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>
#include <distill/io/safetensors.h>
#include <distill/models/check.h>
#include <distill/models/stop_ids.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

#include "commands/inspect_kinds.h"

namespace distill::commands {

namespace fs = std::filesystem;

namespace {

struct WeightTotals {
  std::int64_t tensors = 0;
  std::uint64_t parameters = 0;  ///< as far as they are stored as plain numbers
  std::uint64_t bytes = 0;
  std::map<std::string, std::int64_t> dtypes;

  void add(const io::TensorEntry& entry) {
    ++tensors;
    const std::uint64_t entry_bytes = entry.end - entry.begin;
    bytes += entry_bytes;
    parameters += entry_bytes / c10::elementSize(entry.dtype);
    ++dtypes[c10::toString(entry.dtype)];
  }

  void report(Inspection& inspection) const {
    std::string kinds;
    for (const auto& [dtype, count] : dtypes) {
      kinds += core::concat(kinds.empty() ? "" : ", ", dtype, " (", count, ")");
    }
    inspection.facts.emplace_back("tensors", core::concat(tensors, ": ", kinds));
    const bool told = std::any_of(inspection.facts.begin(), inspection.facts.end(),
                                  [](const auto& fact) { return fact.first == "parameters"; });
    if (!told) {
      inspection.facts.emplace_back("parameters",
                                    core::with_thousands(static_cast<std::int64_t>(parameters)));
    }
    inspection.facts.emplace_back("weights", core::human_bytes(bytes));
  }
};

void describe_config(const fs::path& folder, Inspection& inspection) {
  const auto value = io::read_json_file(folder / "config.json");
  const io::JsonCursor config(value, (folder / "config.json").string());
  inspection.facts.emplace_back("family", config.string_or("model_type", "(not given)"));
  for (const auto* key : {"num_hidden_layers", "hidden_size", "num_attention_heads",
                          "num_key_value_heads", "vocab_size", "max_position_embeddings"}) {
    if (config.has(key))
      inspection.facts.emplace_back(key, std::to_string(config.at(key).as_int()));
  }
}

/// Sizes that follow from config.json, whether the weights are there or not.
void describe_parameters(const fs::path& folder, Inspection& inspection) {
  const models::ModelShape shape = models::describe_causal_lm(folder, {}).shape;
  inspection.facts.emplace_back("parameters", core::with_thousands(shape.num_parameters));
  if (shape.num_active_parameters != shape.num_parameters) {
    inspection.facts.emplace_back("active parameters",
                                  core::with_thousands(shape.num_active_parameters));
  }
  const auto bf16 = 2 * static_cast<std::uint64_t>(shape.num_parameters);
  inspection.facts.emplace_back("in memory", core::concat(core::human_bytes(bf16), " in bf16, ",
                                                          core::human_bytes(2 * bf16), " in fp32"));
}

/// Only where config.json names a vocabulary: its own problems are told once.
void check_stop_ids(const fs::path& folder) {
  std::int64_t vocabulary = 0;
  try {
    vocabulary = models::describe_causal_lm(folder, {}).shape.vocab_size;
  } catch (const Error&) {
    return;
  }
  models::read_stop_ids(folder, vocabulary);
}

/// Nothing but a config.json, which is enough to plan with.
bool is_config_only(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    for (const char* part : {".safetensors", ".bin", "tokenizer"}) {
      if (name.find(part) != std::string::npos) return false;
    }
  }
  return true;
}

void describe_text(const fs::path& folder, Inspection& inspection) {
  const auto tokenizer = text::load_tokenizer(folder);
  inspection.facts.emplace_back(
      "tokenizer",
      core::concat(tokenizer->vocab_size(), " ids, fingerprint ", tokenizer->fingerprint()));
  const auto chat = text::load_chat_template(folder, "auto");
  inspection.facts.emplace_back("chat template", chat ? chat->name() : "none");
}

void add_value_problems(const io::SafetensorsFile& file, Inspection& inspection) {
  for (auto& problem : models::value_problems(file)) {
    inspection.problems.push_back(std::move(problem));
  }
}

}  // namespace

Inspection inspect_model_folder(const InspectOptions& options) {
  Inspection inspection;
  inspection.kind = "model folder";
  collect_problem(inspection, [&] {
    describe_config(options.path, inspection);
    try {
      describe_parameters(options.path, inspection);
    } catch (const UnsupportedError& error) {
      inspection.facts.emplace_back("not supported", error.what());
    }
  });
  if (!options.check && is_config_only(options.path)) {
    inspection.facts.emplace_back("weights", "none, config.json alone");
    return inspection;
  }
  collect_problem(inspection, [&] {
    const auto folder = io::SafetensorsFolder::open(options.path);
    WeightTotals totals;
    for (const auto& [name, at] : folder.tensors()) totals.add(*at.entry);
    totals.report(inspection);
  });
  collect_problem(inspection, [&] { describe_text(options.path, inspection); });
  if (options.check) {
    collect_problem(inspection, [&] {
      models::check_causal_lm(options.path, {});
      models::check_tied_head(options.path);
    });
    collect_problem(inspection, [&] { check_stop_ids(options.path); });
    collect_problem(inspection, [&] {
      const auto folder = io::SafetensorsFolder::open(options.path);
      for (const auto& file : folder.files()) add_value_problems(*file, inspection);
    });
  }
  return inspection;
}

Inspection inspect_safetensors_file(const InspectOptions& options) {
  Inspection inspection;
  inspection.kind = "safetensors file";
  collect_problem(inspection, [&] {
    const auto file = io::SafetensorsFile::open(options.path);
    WeightTotals totals;
    for (const auto& entry : file.entries()) totals.add(entry);
    totals.report(inspection);
    for (const auto& [key, value] : file.metadata()) {
      inspection.facts.emplace_back("metadata " + core::printable(key), core::printable(value));
    }
    if (options.check) add_value_problems(file, inspection);
  });
  return inspection;
}

}  // namespace distill::commands
