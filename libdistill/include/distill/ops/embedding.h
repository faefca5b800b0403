#pragma once

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// Rows of `weight` [V, H] (fp32, bf16 or fp64): ids int64 [N], each in [0, V) -> [N, H]. The
/// gradient of a row is summed over all its places in fp32 (fp64 for fp64) and rounded once: a
/// frequent id does not drown in bf16. Throws c10::Error for an id out of range.
at::Tensor embedding(const at::Tensor& weight, const at::Tensor& ids);

}  // namespace distill::ops
