#include <distill/models/check.h>

#include <ATen/core/Tensor.h>

#include <distill/core/strings.h>
#include <distill/io/json_value.h>

#include "models/families.h"
#include "models/finite.h"
#include "models/match_weights.h"
#include "models/read_weights.h"

namespace distill::models {

namespace fs = std::filesystem;

namespace {

EmptyModel build_empty(const io::JsonCursor& config, std::span<const std::int64_t> keep_layers) {
  return find_family(config).build(config, keep_layers);
}

EmptyModel build_empty(const fs::path& folder, std::span<const std::int64_t> keep_layers) {
  const fs::path path = folder / "config.json";
  const io::JsonValue json = io::read_json_file(path);
  return build_empty(io::JsonCursor(json, path.string()), keep_layers);
}

bool can_hold_nan(c10::ScalarType dtype) {
  return dtype == c10::ScalarType::Float || dtype == c10::ScalarType::BFloat16 ||
         dtype == c10::ScalarType::Half || dtype == c10::ScalarType::Double;
}

}  // namespace

void check_config(const fs::path& folder) {
  build_empty(folder, {});
}

ModelDescription describe_causal_lm(const fs::path& folder,
                                    std::span<const std::int64_t> keep_layers) {
  const fs::path path = folder / "config.json";
  const io::JsonValue json = io::read_json_file(path);
  const io::JsonCursor config(json, path.string());
  const EmptyModel model = build_empty(config, keep_layers);
  ModelDescription description;
  description.family = config.at("model_type").as_string();
  description.shape = model.model->shape();
  description.adapter_sites = model.model->adapter_sites();
  description.source_layers = config.at("num_hidden_layers").as_int();
  for (const ParameterSlot& slot : model.slots) {
    if (!slot.buffer) description.parameters.push_back({slot.name(), slot.shape, slot.idle});
  }
  return description;
}

void check_causal_lm(const fs::path& folder, std::span<const std::int64_t> keep_layers) {
  const EmptyModel model = build_empty(folder, keep_layers);
  match_weights(model, io::SafetensorsFolder::open(folder), folder);
}

WeightBytes weight_bytes(const fs::path& folder, const LoadOptions& options) {
  const EmptyModel model = build_empty(folder, options.keep_layers);
  const auto weights = io::SafetensorsFolder::open(folder);
  const auto matches = match_weights(model, weights, folder);
  WeightBytes bytes;
  bytes.allocated = bytes_to_allocate(matches, options);
  for (const MatchedWeight& match : matches) {
    const io::TensorEntry& entry = *match.source.entry;
    if (options.device.is_cpu() && !becomes_quantized(match, options) &&
        stays_mapped(match, options))
      bytes.mapped += entry.end - entry.begin;
  }
  return bytes;
}

void check_tied_head(const fs::path& folder) {
  check_tied_head(build_empty(folder, {}), io::SafetensorsFolder::open(folder));
}

std::vector<std::string> value_problems(const io::SafetensorsFile& file) {
  std::vector<std::string> problems;
  for (const io::TensorEntry& entry : file.entries()) {
    if (!can_hold_nan(entry.dtype) || all_finite(file.tensor(entry))) continue;
    problems.push_back(core::concat(file.path().string(), ": `", core::printable(entry.name),
                                    "` holds NaN or Inf"));
  }
  return problems;
}

}  // namespace distill::models
