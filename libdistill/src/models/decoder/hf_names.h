#pragma once

namespace distill::models::decoder {

constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
constexpr const char* kNormName = "model.norm.weight";
constexpr const char* kHeadName = "lm_head.weight";

}  // namespace distill::models::decoder
