#pragma once

#include <cstdint>
#include <span>

#include "models/families.h"

namespace distill::models::mistral {

/// Mistral (Jiang et al. 2023): Llama's block, all layers with one window or none.
EmptyModel build(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers);

}  // namespace distill::models::mistral
