#pragma once

#include <cstdint>
#include <span>

#include "models/families.h"

namespace distill::models::qwen2 {

/// Qwen2 and Qwen2.5 (Qwen Team 2024): biases on queries, keys and values, windows on request.
EmptyModel build(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers);

}  // namespace distill::models::qwen2
