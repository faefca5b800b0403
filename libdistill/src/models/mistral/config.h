#pragma once

#include <cstdint>

#include <distill/io/json_value.h>

#include "models/decoder/config.h"

namespace distill::models::mistral {

/// What config.json says of a Mistral model, checked.
struct Config {
  decoder::Sizes sizes;
  decoder::Heads heads;
  std::int64_t intermediate_size = 0;
  std::int64_t window = 0;  ///< of every layer; 0: they see all
};

/// Throws FormatError and UnsupportedError, naming file and key.
Config read_config(const io::JsonCursor& json);

}  // namespace distill::models::mistral
