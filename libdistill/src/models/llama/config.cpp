#include "models/llama/config.h"

namespace distill::models::llama {

Config read_config(const io::JsonCursor& json) {
  Config config;
  config.sizes = decoder::read_sizes(json);
  config.heads = decoder::read_heads(json, config.sizes.hidden_size);
  config.intermediate_size = json.at("intermediate_size").int_in(1, decoder::kMaxWidth);
  config.attention_bias = json.bool_or("attention_bias", false);
  config.mlp_bias = json.bool_or("mlp_bias", false);
  return config;
}

}  // namespace distill::models::llama
