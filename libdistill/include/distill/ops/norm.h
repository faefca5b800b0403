#pragma once

#include <utility>

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// RMSNorm: x / sqrt(mean(x^2) + eps) * weight over the last dimension, statistics in fp32.
/// x [..., H], weight [H], same dtype (fp32, bf16, fp64). Zhang and Sennrich 2019.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// sum = residual + x, normed = rms_norm(sum); one pass over memory in each direction.
/// Returns {normed, sum}.
std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& residual,
                                               const at::Tensor& weight, double eps);

}  // namespace distill::ops
