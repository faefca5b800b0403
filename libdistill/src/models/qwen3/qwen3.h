#pragma once

#include <cstdint>
#include <span>

#include "models/families.h"

namespace distill::models::qwen3 {

/// Qwen3 (Qwen Team 2025): queries and keys are normed head by head.
EmptyModel build(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers);

}  // namespace distill::models::qwen3
