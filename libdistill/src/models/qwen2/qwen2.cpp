#include "models/qwen2/qwen2.h"

#include "models/decoder/decoder.h"
#include "models/decoder/layer_rows.h"
#include "models/qwen2/config.h"

namespace distill::models::qwen2 {

namespace {

void add_layer(const Config& config, decoder::LayerTable& table, nn::DecoderBlock& block,
               std::int64_t source) {
  using namespace decoder;
  add_input_norm(table, config.sizes, block);
  add_grouped_attention(table, config.sizes, config.heads, {.qkv = true}, block).window =
      config.windows[static_cast<std::size_t>(source)];
  add_post_attention_norm(table, config.sizes, block);
  add_mlp(table, "mlp", {config.sizes.hidden_size, config.intermediate_size},
          block.feed_forward.emplace<nn::SwigluMlp>());
}

}  // namespace

EmptyModel build(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers) {
  const Config config = read_config(json);
  return decoder::build(decoder::windowed_plan(config, json, add_layer), json, keep_layers);
}

}  // namespace distill::models::qwen2
