#include "models/qwen2/config.h"

namespace distill::models::qwen2 {

Config read_config(const io::JsonCursor& json) {
  Config config;
  config.sizes = decoder::read_sizes(json);
  decoder::require_key(json, "num_key_value_heads");
  config.heads = decoder::read_heads(json, config.sizes.hidden_size);
  config.intermediate_size = json.at("intermediate_size").int_in(1, decoder::kMaxWidth);
  config.windows = decoder::read_windows(json, config.sizes.num_layers);
  return config;
}

}  // namespace distill::models::qwen2
