#pragma once

#include <cstdint>
#include <span>

#include "models/families.h"

namespace distill::models::deepseek {

/// DeepSeek-V2 and V2-Lite: latent attention, experts chosen by softmax (DeepSeek-AI 2024).
EmptyModel build_v2(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers);

/// DeepSeek-V3 and R1: experts chosen by sigmoids that were balanced by a correction (DeepSeek-AI
/// 2024, 2025).
EmptyModel build_v3(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers);

}  // namespace distill::models::deepseek
