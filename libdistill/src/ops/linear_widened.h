#pragma once

#include <ATen/core/Tensor.h>

#include "ops/stored_weight.h"

/// The three products of a linear layer in bf16 for CPUs without instructions for it: in fp32, a
/// slice of the weight at a time, rounded once. LibTorch's own emulate each bf16 instruction, at a
/// third of the speed with AVX-512 and less without.
namespace distill::ops {

/// True where the functions below are the better choice for x [N, in] and weight [out, in]: bf16,
/// in memory of a CPU without instructions for it.
bool wants_linear_widened(const at::Tensor& x, const StoredWeight& weight);

/// x W^T + bias: [N, out] bf16. `bias` [out] or undefined.
at::Tensor widened_forward(const at::Tensor& x, const StoredWeight& weight, const at::Tensor& bias);

/// grad W: [N, in] bf16.
at::Tensor widened_input_grad(const at::Tensor& grad, const StoredWeight& weight);

/// grad^T x: [out, in] bf16.
at::Tensor widened_weight_grad(const at::Tensor& grad, const at::Tensor& x);

}  // namespace distill::ops
