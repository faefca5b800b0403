#pragma once

#include <vector>

#include "models/llama/llama.h"

namespace distill::models::llama {

constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
constexpr const char* kHeadName = "lm_head.weight";

/// The name table: every weight with its Hugging Face name and shape, in the order of the layers.
/// The slots point into `weights`, which must not move.
std::vector<ParameterSlot> name_slots(const Config& config, Weights& weights);

}  // namespace distill::models::llama
