#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// Causal grouped-query attention over packed segments: no key is seen across a border.
/// q [N, heads, D], k and v [N, kv_heads, D], heads a multiple of kv_heads; `segments` as in
/// types::ModelInput. softmax(q k^T * scale) v, returns [N, heads, D].
at::Tensor packed_causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                   std::span<const std::int64_t> segments, double scale);

}  // namespace distill::ops
