#include "models/mistral/config.h"

#include <distill/core/error.h>

namespace distill::models::mistral {

namespace {

constexpr std::int64_t kMaxWindow = std::int64_t{1} << 30;

}  // namespace

Config read_config(const io::JsonCursor& json) {
  Config config;
  config.sizes = decoder::read_sizes(json);
  decoder::require_key(json, "num_key_value_heads");
  config.heads = decoder::read_heads(json, config.sizes.hidden_size);
  config.intermediate_size = json.at("intermediate_size").int_in(1, decoder::kMaxWidth);
  decoder::require_key(json, "sliding_window");
  config.window = decoder::positive_or(json, "sliding_window", kMaxWindow, 0);
  if (json.has("layer_types")) {
    fail<UnsupportedError>(json.at("layer_types").where(),
                           ": layers of several kinds are not supported in Mistral models");
  }
  return config;
}

}  // namespace distill::models::mistral
