#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/core/pending_folder.h>
#include <distill/io/safetensors.h>
#include <distill/lora/peft.h>

#include "lora/adapter_files.h"
#include "lora/tensor_names.h"

namespace distill::lora {

namespace {

/// A change of the whole base: PiSSA's begins at what was taken out of it, so that start goes in
/// with the other sign and the rank doubles.
nn::Adapter of_whole_base(const nn::Adapter& adapter) {
  if (!adapter.start_a.defined()) return adapter;
  nn::Adapter whole = adapter;
  const double scale = adapter.options.scale();
  whole.options.rank *= 2;
  const auto width = static_cast<double>(whole.options.rank);
  whole.options.alpha = scale * (adapter.options.rslora ? std::sqrt(width) : width);
  whole.a = at::cat({adapter.a, adapter.start_a}, 0);
  whole.b = at::cat({adapter.b, -adapter.start_b}, 1);
  whole.start_a.reset();
  whole.start_b.reset();
  return whole;
}

struct Saved {
  models::AdapterSite site;
  nn::Adapter adapter;
};

std::string last_part(const std::string& module) {
  return module.substr(module.rfind('.') + 1);
}

/// Ends of names when they mean no other layer, else whole names.
std::vector<std::string> target_modules(const std::vector<Saved>& saved,
                                        const std::vector<models::AdapterSite>& sites) {
  std::set<std::string> modules, ends;
  for (const Saved& one : saved) {
    modules.insert(one.site.module);
    ends.insert(last_part(one.site.module));
  }
  for (const models::AdapterSite& site : sites) {
    if (modules.contains(site.module) || !ends.contains(last_part(site.module))) continue;
    return {modules.begin(), modules.end()};
  }
  return {ends.begin(), ends.end()};
}

/// By module, where it is not as the first adapter's.
void write_pattern(core::JsonWriter& json, const char* key, const std::vector<Saved>& saved,
                   const std::function<double(const nn::AdapterOptions&)>& value_of) {
  json.key(key).begin_object();
  const double usual = value_of(saved.front().adapter.options);
  for (const Saved& one : saved) {
    const double value = value_of(one.adapter.options);
    if (value == usual) continue;
    json.key(one.site.module);
    value == std::floor(value) ? json.value(static_cast<std::int64_t>(value)) : json.value(value);
  }
  json.end_object();
}

/// Nothing is dropped of an embedding.
double dropout_of(const std::vector<Saved>& saved) {
  double most = 0;
  for (const Saved& one : saved) most = std::max(most, one.adapter.options.dropout);
  return most;
}

std::string config_text(const std::vector<Saved>& saved,
                        const std::vector<models::AdapterSite>& sites, const Base& base) {
  const nn::AdapterOptions& options = saved.front().adapter.options;
  core::JsonWriter json(2);
  json.begin_object();
  write_pattern(json, "alpha_pattern", saved, [](const auto& o) { return o.alpha; });
  json.member("base_model_name_or_path", base.folder.string())
      .member("bias", "none")
      .member("fan_in_fan_out", false)
      .member("inference_mode", true)
      .member("init_lora_weights", true)
      .member("lora_alpha", options.alpha)
      .member("lora_dropout", dropout_of(saved))
      .key("modules_to_save")
      .null()
      .member("peft_type", "LORA")
      .member("r", options.rank);
  write_pattern(json, "rank_pattern", saved,
                [](const auto& o) { return static_cast<double>(o.rank); });
  json.key("target_modules").begin_array();
  for (const std::string& target : target_modules(saved, sites)) json.value(target);
  json.end_array()
      .member("task_type", "CAUSAL_LM")
      .member("use_dora", options.dora)
      .member("use_rslora", options.rslora)
      .end_object();
  return json.text() + "\n";
}

}  // namespace

void save_adapter(models::CausalLm& model, const std::filesystem::path& folder, const Base& base) {
  const c10::NoGradGuard no_graph;
  core::PendingFolder pending(folder);
  std::vector<Saved> saved;
  for (const models::NamedAdapter& named : model.adapters()) {
    saved.push_back({named.site, of_whole_base(*named.adapter)});
  }
  if (saved.empty()) fail<InputError>(folder.string(), ": the model has no adapter to save");
  for (const Saved& one : saved) {
    const nn::AdapterOptions &own = one.adapter.options, &first = saved.front().adapter.options;
    if (own.rslora == first.rslora && own.dora == first.dora) continue;
    fail<UnsupportedError>(folder.string(), ": `", one.site.module, "` and `",
                           saved.front().site.module,
                           "` differ in rslora or dora, which a PEFT folder says once for all");
  }
  std::vector<io::NamedTensor> tensors;
  for (const Saved& one : saved) {
    for (const AdapterTensor& tensor : adapter_tensors(one.site, one.adapter.options)) {
      tensors.emplace_back(kPeftPrefix + one.site.module + tensor.suffix,
                           (one.adapter.*tensor.member).detach().cpu());
    }
  }
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
  if (!base.fingerprint.empty()) metadata[kBaseFingerprint] = base.fingerprint;
  core::write_file_atomically(pending.path() / kAdapterConfig,
                              config_text(saved, model.adapter_sites(), base));
  io::write_safetensors(pending.path() / kAdapterTensors, tensors, metadata);
  pending.publish();
}

}  // namespace distill::lora
