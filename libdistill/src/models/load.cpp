#include <distill/models/load.h>

#include <map>
#include <string>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>
#include <distill/io/safetensors.h>
#include <distill/models/memory.h>

#include "models/families.h"
#include "models/match_weights.h"
#include "models/read_weights.h"

namespace distill::models {

namespace fs = std::filesystem;

namespace {

/// Before anything is allocated.
void require_memory(const fs::path& folder, const std::vector<MatchedWeight>& matches,
                    const LoadOptions& options) {
  const auto available =
      options.available_memory ? options.available_memory : available_memory(options.device);
  const std::uint64_t needed = bytes_to_allocate(matches, options);
  if (!available || needed <= *available) return;
  const bool narrower = options.dtype == c10::ScalarType::Float, on_cpu = options.device.is_cpu();
  fail<InputError>(
      folder.string(), ": its weights need ", core::human_bytes(needed), " of memory in ",
      narrower ? "fp32" : "bf16", ", ", core::human_bytes(*available), " are available",
      on_cpu ? "" : " on " + options.device.str(), "; use ", narrower ? "bf16, " : "",
      "a smaller model", on_cpu ? "" : ", the CPU (device `cpu`)", " or a ",
      on_cpu ? "machine" : "GPU", " with more memory, or --ignore-memory to load it all the same");
}

/// One line for each thing that the folder holds and the model leaves out.
void note_skipped(const EmptyModel& model, const io::SafetensorsFolder& weights,
                  const fs::path& folder, core::Logger& log) {
  std::map<std::string, std::int64_t> counts;
  for (const auto& [name, location] : weights.tensors()) {
    const SkippedWeights* skipped = skipped_by(model, name);
    if (skipped != nullptr) ++counts[core::concat(skipped->what, " (", skipped->prefix, "*)")];
  }
  for (const auto& [what, count] : counts) {
    log.info(folder.string(), ": the ", count, " tensors of a ", what, " are left out");
  }
}

void note_quantization(const EmptyModel& model, const fs::path& folder, core::Logger& log) {
  const Quantization* quantized = model.model->quantization();
  if (quantized != nullptr) log.info(folder.string(), ": ", describe(*quantized));
}

}  // namespace

std::shared_ptr<CausalLm> load_causal_lm(const fs::path& folder, const LoadOptions& options) {
  if (options.dtype != c10::ScalarType::Float && options.dtype != c10::ScalarType::BFloat16) {
    fail<UnsupportedError>("models are loaded in float32 or bfloat16, not in ",
                           c10::toString(options.dtype));
  }
  const fs::path config_path = folder / "config.json";
  const io::JsonValue json = io::read_json_file(config_path);
  const io::JsonCursor config(json, config_path.string());
  const EmptyModel model = find_family(config).build(config, options.keep_layers);
  const auto weights = io::SafetensorsFolder::open(folder);
  const auto matches = match_weights(model, weights, folder);
  check_tied_head(model, weights);
  require_memory(folder, matches, options);
  if (!options.adapters.empty()) model.model->add_adapters(options.adapters);
  read_weights(model, matches, options);
  if (options.log != nullptr) {
    note_skipped(model, weights, folder, *options.log);
    note_quantization(model, folder, *options.log);
  }
  return model.model;
}

std::vector<std::int64_t> evenly_spaced_layers(std::int64_t num_layers, std::int64_t count) {
  if (count < 1 || count > num_layers) {
    fail<ConfigError>("cannot keep ", count, " of ", num_layers, " layers, expected 1 to ",
                      num_layers);
  }
  std::vector<std::int64_t> layers = {0};
  for (std::int64_t i = 1; i < count; ++i) {
    const std::int64_t scaled = i * (num_layers - 1), steps = count - 1;
    const std::int64_t below = scaled / steps, twice_rest = 2 * (scaled % steps);
    const bool up = twice_rest > steps || (twice_rest == steps && below % 2 == 1);
    layers.push_back(below + (up ? 1 : 0));
  }
  return layers;
}

}  // namespace distill::models
