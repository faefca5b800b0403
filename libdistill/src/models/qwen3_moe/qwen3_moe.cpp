#include "models/qwen3_moe/qwen3_moe.h"

#include <distill/core/json_writer.h>

#include "models/decoder/decoder.h"
#include "models/decoder/layer_rows.h"
#include "models/qwen3_moe/config.h"

namespace distill::models::qwen3_moe {

namespace {

void add_layer(const Config& config, decoder::LayerTable& table, nn::DecoderBlock& block,
               std::int64_t source) {
  using namespace decoder;
  const std::int64_t hidden = config.sizes.hidden_size;
  add_input_norm(table, config.sizes, block);
  nn::Attention& attention =
      add_grouped_attention(table, config.sizes, config.heads,
                            {.qkv = config.attention_bias, .output = config.attention_bias}, block);
  add_query_key_norms(table, config.sizes.rms_norm_eps, attention);
  add_post_attention_norm(table, config.sizes, block);
  if (config.sparse[static_cast<std::size_t>(source)]) {
    add_experts(table, hidden, config.experts, config.router, block);
  } else {
    add_mlp(table, "mlp", {hidden, config.intermediate_size},
            block.feed_forward.emplace<nn::SwigluMlp>());
  }
}

/// Layers without experts by name: no step fits any choice of layers.
std::vector<ConfigChange> describe_kept(const Config& config, std::span<const std::int64_t> kept) {
  core::JsonWriter dense;
  dense.begin_array();
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (!config.sparse[static_cast<std::size_t>(kept[i])]) {
      dense.value(static_cast<std::int64_t>(i));
    }
  }
  dense.end_array();
  return {{"decoder_sparse_step", "1"}, {"mlp_only_layers", dense.text()}};
}

}  // namespace

EmptyModel build(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers) {
  const Config config = read_config(json);
  decoder::Plan plan = decoder::grouped_plan(config, add_layer);
  plan.describe_kept = [&](std::span<const std::int64_t> kept) {
    return describe_kept(config, kept);
  };
  return decoder::build(plan, json, keep_layers);
}

}  // namespace distill::models::qwen3_moe
