#pragma once

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// hidden [N, H] x head^T, head [V, H] of the same type (fp32, bf16 or fp64) -> [N, V] in fp32
/// (fp64 for fp64): nothing is rounded to bf16 on the way out, and the head is not held in fp32 as
/// a whole unless a graph is recorded. Throws c10::Error for shapes or types that do not fit.
at::Tensor head_product(const at::Tensor& hidden, const at::Tensor& head);

}  // namespace distill::ops
