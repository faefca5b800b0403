#include "models/mistral/mistral.h"

#include "models/decoder/decoder.h"
#include "models/decoder/layer_rows.h"
#include "models/mistral/config.h"

namespace distill::models::mistral {

namespace {

void add_layer(const Config& config, decoder::LayerTable& table, nn::DecoderBlock& block,
               std::int64_t) {
  using namespace decoder;
  add_input_norm(table, config.sizes, block);
  add_grouped_attention(table, config.sizes, config.heads, {}, block).window = config.window;
  add_post_attention_norm(table, config.sizes, block);
  add_mlp(table, "mlp", {config.sizes.hidden_size, config.intermediate_size},
          block.feed_forward.emplace<nn::SwigluMlp>());
}

}  // namespace

EmptyModel build(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers) {
  const Config config = read_config(json);
  return decoder::build(decoder::grouped_plan(config, add_layer), json, keep_layers);
}

}  // namespace distill::models::mistral
