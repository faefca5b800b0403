#pragma once

#include <cstdint>

#include <distill/io/json_value.h>

#include "models/decoder/config.h"
#include "models/decoder/windows.h"

namespace distill::models::qwen2 {

/// What config.json says of a Qwen2 model, checked.
struct Config {
  decoder::Sizes sizes;
  decoder::Heads heads;
  std::int64_t intermediate_size = 0;
  decoder::Windows windows;
};

/// Throws FormatError and UnsupportedError, naming file and key.
Config read_config(const io::JsonCursor& json);

}  // namespace distill::models::qwen2
