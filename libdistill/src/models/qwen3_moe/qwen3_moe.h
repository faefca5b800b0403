#pragma once

#include <cstdint>
#include <span>

#include "models/families.h"

namespace distill::models::qwen3_moe {

/// Qwen3-MoE (Qwen Team 2025): Qwen3's attention, feed-forward layers of experts.
EmptyModel build(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers);

}  // namespace distill::models::qwen3_moe
