#pragma once

#include <cstdint>
#include <optional>

#include <distill/io/json_value.h>

namespace distill::models {

/// Matrices stored as 8-bit floats (e4m3), each block of them with a scale of its own (DeepSeek-AI
/// 2024).
struct Fp8Block {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

/// What `quantization_config` says; nothing when it is not there. Throws UnsupportedError for any
/// other way of quantising.
std::optional<Fp8Block> read_fp8_block(const io::JsonCursor& config);

}  // namespace distill::models
