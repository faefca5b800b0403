#pragma once

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// x W^T + b: x [N, in], weight [out, in], bias [out] or undefined -> [N, out], all of one dtype.
/// As at::linear, gradients included. In c10::InferenceMode a few rows in bf16, as generation has
/// them, go at the speed at which the weights can be read; rounding may then differ in the last
/// bit.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace distill::ops
