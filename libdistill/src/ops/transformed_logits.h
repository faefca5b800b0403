#pragma once

#include <algorithm>
#include <cstdint>

#include <ATen/core/Tensor.h>

#include <distill/types/teacher_signal.h>

namespace distill::ops {

/// How many rows of fp32 logits go into `bytes`, with room for two more of their size.
inline std::int64_t logit_rows_at_a_time(std::int64_t vocabulary, std::int64_t bytes) {
  constexpr std::int64_t kCopies = 3;
  constexpr std::int64_t kMostRows = 1024;
  const std::int64_t row_bytes = kCopies * static_cast<std::int64_t>(sizeof(float)) * vocabulary;
  return std::clamp<std::int64_t>(bytes / row_bytes, 1, kMostRows);
}

/// In place: what the model's config does to logits before the softmax.
inline at::Tensor transformed_(at::Tensor logits, const types::LogitTransform& transform) {
  if (transform.scale != 1.0) logits.mul_(transform.scale);
  if (transform.softcap > 0) logits.div_(transform.softcap).tanh_().mul_(transform.softcap);
  return logits;
}

}  // namespace distill::ops
