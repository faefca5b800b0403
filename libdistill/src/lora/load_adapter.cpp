#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/io/json_value.h>
#include <distill/io/safetensors.h>
#include <distill/lora/peft.h>
#include <distill/models/check.h>
#include <distill/models/fingerprint.h>

#include "lora/adapter_files.h"
#include "lora/target_modules.h"
#include "lora/tensor_names.h"

namespace distill::lora {

namespace fs = std::filesystem;

namespace {

using models::AdapterSite;

constexpr const char* kHead = "lm_head";

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::vector<std::string> sizes;
  for (const std::int64_t size : shape) sizes.push_back(std::to_string(size));
  return "[" + core::join(sizes) + "]";
}

void check_base(const fs::path& base, const fs::path& adapter, const AdapterConfig& config) {
  if (config.fingerprint.empty()) return;  // PEFT does not say
  const std::string found = models::fingerprint(base);
  if (found == config.fingerprint) return;
  fail<InputError>(adapter.string(), ": was trained on another base (",
                   core::printable(config.base_model, 200), ", fingerprint ",
                   core::printable(config.fingerprint), "; that of ", base.string(), " is ", found,
                   "); give its own base, or --any-base to use it all the same");
}

[[noreturn]] void refuse_head(const models::ModelDescription& model, const fs::path& file) {
  const bool tied = std::ranges::none_of(model.parameters, [](const auto& parameter) {
    return parameter.name == std::string(kHead) + ".weight";
  });
  fail<UnsupportedError>(file.string(), ": has an adapter of `", kHead,
                         "`; the head gets none here: losses are fused with its product",
                         tied ? ", and it is tied to the embedding" : "",
                         "; merge it with PEFT (`merge_and_unload`), or train without it");
}

/// Every module with tensors must be a layer of the base.
void check_modules(const AdapterConfig& config, const models::ModelDescription& model,
                   const fs::path& file, const fs::path& base) {
  std::set<std::string> known;
  for (const AdapterSite& site : model.adapter_sites) known.insert(site.module);
  for (const auto& [module, options] : config.choice) {
    if (known.contains(module)) continue;
    if (module == kHead) refuse_head(model, file);
    const std::vector<std::string> names(known.begin(), known.end());
    fail<FormatError>(file.string(), ": has tensors of `", core::printable(module, kShownName),
                      "`, and ", base.string(), " has no such layer",
                      core::did_you_mean(module, names),
                      "; give the base that the adapter was trained on");
  }
}

/// Every layer that `target_modules` means must have tensors. Routed experts need not where PEFT
/// wrote the file: whether they are layers of their own depends on its version.
void check_targets(const AdapterConfig& config, const std::vector<AdapterSite>& sites,
                   const fs::path& folder) {
  const fs::path path = folder / kAdapterConfig;
  const io::JsonValue value = io::read_json_file(path);
  const TargetModules targets(io::JsonCursor(value, path.string()));
  const bool own = !config.fingerprint.empty();
  for (const AdapterSite& site : sites) {
    if (config.choice.contains(site.module) || (site.routed_expert && !own)) continue;
    if (!targets.mean(site.module)) continue;
    fail<FormatError>((folder / kAdapterTensors).string(), ": has no tensors of `", site.module,
                      "`, which ", path.string(), " names in `target_modules`");
  }
}

/// PEFT adds the embedding where it has an adapter; it must be the base's own.
void check_base_layer(const io::SafetensorsFile& file, const models::NamedAdapter& named) {
  const io::TensorEntry* entry = file.find(kPeftPrefix + named.site.module + kBaseLayer);
  if (entry == nullptr) return;
  const at::Tensor stored = file.tensor(*entry);
  const at::Tensor weight = named.weight->cpu();
  // Either may have been rounded to the narrower type of the two.
  const bool narrow = stored.element_size() < weight.element_size();
  const at::ScalarType type = narrow ? stored.scalar_type() : weight.scalar_type();
  if (stored.sizes() == weight.sizes() && at::equal(stored.to(type), weight.to(type))) return;
  fail<UnsupportedError>(file.path().string(), ": `", core::printable(entry->name, kShownName),
                         "` is not the base's embedding; an adapter that brings an embedding of "
                         "its own is not done");
}

void read_tensors(const io::SafetensorsFile& file, const models::NamedAdapter& named,
                  bool trainable) {
  for (const AdapterTensor& tensor : adapter_tensors(named.site, named.adapter->options)) {
    const std::string name = kPeftPrefix + named.site.module + tensor.suffix;
    const io::TensorEntry* entry = file.find(name);
    if (entry == nullptr) {
      fail<FormatError>(file.path().string(), ": has no tensor `",
                        core::printable(name, kShownName), "`");
    }
    if (entry->shape != tensor.shape) {
      fail<FormatError>(file.path().string(), ": `", core::printable(name, kShownName), "` is ",
                        shape_text(entry->shape), ", the base wants ", shape_text(tensor.shape));
    }
    at::Tensor value = file.tensor(*entry).to(at::kFloat, false, /*copy=*/true);
    if (!at::isfinite(value).all().item<bool>()) {
      fail<FormatError>(file.path().string(), ": `", core::printable(name, kShownName),
                        "` holds NaN or Inf");
    }
    value = value.to(named.device());
    named.adapter->*tensor.member = value.set_requires_grad(trainable);
  }
}

/// Nothing may be there that no layer takes, such as magnitudes of an adapter without DoRA.
void check_surplus(const io::SafetensorsFile& file,
                   const std::vector<models::NamedAdapter>& adapters) {
  std::set<std::string> taken;
  for (const models::NamedAdapter& named : adapters) {
    taken.insert(kPeftPrefix + named.site.module + kBaseLayer);
    for (const AdapterTensor& tensor : adapter_tensors(named.site, named.adapter->options)) {
      taken.insert(kPeftPrefix + named.site.module + tensor.suffix);
    }
  }
  for (const io::TensorEntry& entry : file.entries()) {
    if (taken.contains(entry.name)) continue;
    fail<FormatError>(file.path().string(), ": `", core::printable(entry.name, kShownName),
                      "` belongs to nothing that ", kAdapterConfig, " describes");
  }
}

}  // namespace

std::shared_ptr<models::CausalLm> load_with_adapter(const fs::path& base, const fs::path& adapter,
                                                    models::LoadOptions load,
                                                    const AdapterLoadOptions& options) {
  const AdapterConfig config = read_adapter_config(adapter);
  const auto model_of_base = models::describe_causal_lm(base, load.keep_layers);
  check_modules(config, model_of_base, adapter / kAdapterTensors, base);
  check_targets(config, model_of_base.adapter_sites, adapter);
  if (!options.any_base) check_base(base, adapter, config);
  load.adapters = config.choice;
  auto model = models::load_causal_lm(base, load);
  const c10::NoGradGuard no_graph;
  const io::SafetensorsFile file = open_adapter_tensors(adapter);
  const auto adapters = model->adapters();
  check_surplus(file, adapters);
  for (const models::NamedAdapter& named : adapters) {
    check_base_layer(file, named);
    read_tensors(file, named, options.trainable);
  }
  return model;
}

}  // namespace distill::lora
