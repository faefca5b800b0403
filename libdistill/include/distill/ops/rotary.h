#pragma once

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// Rotary position embedding in the Hugging Face layout (first half, second half).
/// x [N, heads, D] (strided rows allowed), cos and sin fp32 [N, D/2] for each row's position.
/// Returns [N, heads, D] contiguous: (x1 cos - x2 sin, x2 cos + x1 sin). Su et al. 2021.
at::Tensor rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace distill::ops
