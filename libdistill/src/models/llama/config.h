#pragma once

#include <cstdint>

#include <distill/io/json_value.h>

#include "models/decoder/config.h"

namespace distill::models::llama {

/// What config.json says of a Llama model, checked.
struct Config {
  decoder::Sizes sizes;
  decoder::Heads heads;
  std::int64_t intermediate_size = 0;
  bool attention_bias = false;  ///< q, k, v and o projections
  bool mlp_bias = false;
};

/// Throws FormatError and UnsupportedError, naming file and key.
Config read_config(const io::JsonCursor& json);

}  // namespace distill::models::llama
