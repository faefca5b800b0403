#pragma once

#include <cstdint>
#include <span>

#include "models/families.h"

namespace distill::models::llama {

/// Llama 1 to 3 and everything that shares their block (Touvron et al. 2023; Grattafiori et al.
/// 2024).
EmptyModel build(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers);

}  // namespace distill::models::llama
