#include <algorithm>
#include <utility>

#include "models/decoder/decoder.h"
#include "models/decoder/hf_names.h"
#include "models/fp8_config.h"

namespace distill::models::decoder {

namespace {

/// Names of the weights that the folder has of layers that are left out.
std::vector<std::string> names_left_out(const Plan& plan, std::span<const std::int64_t> kept) {
  std::vector<ParameterSlot> slots;
  nn::DecoderBlock unused;
  for (std::int64_t layer = 0; layer < plan.sizes.num_layers; ++layer) {
    if (std::find(kept.begin(), kept.end(), layer) != kept.end()) continue;
    LayerTable table(slots, layer);
    plan.add_layer(table, unused, layer);
  }
  std::vector<std::string> names;
  for (const ParameterSlot& slot : slots) names.push_back(slot.name());
  return names;
}

/// What config.json must say otherwise once the model is saved.
std::vector<ConfigChange> changes(const Plan& plan, const io::JsonCursor& json,
                                  std::span<const std::int64_t> kept) {
  std::vector<ConfigChange> result = plan.changes;
  const bool all =
      std::ssize(kept) == plan.sizes.num_layers && std::is_sorted(kept.begin(), kept.end());
  if (!all && plan.describe_kept) {
    for (ConfigChange& change : plan.describe_kept(kept)) result.push_back(std::move(change));
  }
  // Weights are saved as they were dequantised.
  if (json.has("quantization_config")) result.push_back({"quantization_config", ""});
  return result;
}

}  // namespace

Plan grouped_plan(const Sizes& sizes, const Heads& heads) {
  Plan plan;
  plan.sizes = sizes;
  plan.rotary_dim = heads.head_dim;
  plan.cache.kv_heads = heads.num_kv_heads;
  plan.cache.head_dim = heads.head_dim;
  return plan;
}

EmptyModel build(const Plan& plan, const io::JsonCursor& json,
                 std::span<const std::int64_t> keep_layers) {
  EmptyModel empty;
  empty.fp8_block = read_fp8_block(json);
  empty.source_layers = resolve_layers(keep_layers, plan.sizes.num_layers, json.source());
  empty.skipped = plan.skipped;
  empty.names_left_out = names_left_out(plan, empty.source_layers);
  if (plan.sizes.tied_head) {
    empty.tied_head = kHeadName;
    empty.tied_to = kEmbeddingName;
  }
  auto model = std::make_shared<Decoder>(plan, empty.source_layers,
                                         changes(plan, json, empty.source_layers));
  empty.slots.assign(model->slots().begin(), model->slots().end());
  empty.quantization = &model->quantization_place();
  empty.model = std::move(model);
  return empty;
}

}  // namespace distill::models::decoder
