#pragma once

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// x W^T + b: x [N, in], weight [out, in], bias [out] or undefined -> [N, out], all of one dtype.
/// As at::linear, gradients included. bf16 of even widths, on CPUs with instructions for it, is
/// added up in fp32 and rounded once, in an order that no other row changes; it has no second
/// derivative (c10::Error). In c10::InferenceMode a few rows in bf16, as generation has them, go at
/// the speed at which the weights can be read; rounding may then differ in the last bit.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace distill::ops
