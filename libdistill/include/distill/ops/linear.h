#pragma once

#include <ATen/core/Tensor.h>

#include <distill/ops/quantized_matrix.h>

namespace distill::ops {

/// x W^T + b: x [N, in], weight [out, in], bias [out] or undefined -> [N, out], all of one dtype.
/// As at::linear, gradients included. bf16 of even widths, on CPUs with instructions for it, is
/// added up in fp32 and rounded once, in an order that no other row changes; it has no second
/// derivative (c10::Error). In c10::InferenceMode a few rows in bf16, as generation has them, go at
/// the speed at which the weights can be read; rounding may then differ in the last bit.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

/// The same with a weight in few bits, to the bit what dequantize(weight, x's dtype) gives:
/// gradients go to x alone, and the graph keeps the codes. bf16 where the above has its own
/// products: a dense copy of the weight is never whole in memory; else one is formed for the
/// product. No second derivative. Throws c10::Error for shapes that do not fit, or a bias that
/// wants a gradient.
at::Tensor linear(const at::Tensor& x, const QuantizedMatrix& weight, const at::Tensor& bias);

}  // namespace distill::ops
