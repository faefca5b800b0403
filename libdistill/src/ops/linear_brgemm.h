#pragma once

#include <ATen/core/Tensor.h>

#include "ops/stored_weight.h"

/// The three products of a linear layer in bf16: sums in fp32, rounded once. Each number is one
/// chain of sums, the same for any number of rows beside it and of threads.
namespace distill::ops {

/// True where the functions below take x [N, in] and weight [out, in]: bf16, in memory of the CPU,
/// even widths, instructions for it.
bool has_linear_brgemm(const at::Tensor& x, const StoredWeight& weight);

/// x W^T + bias: [N, out]. `bias` [out] bf16 or undefined.
at::Tensor linear_forward(const at::Tensor& x, const StoredWeight& weight, const at::Tensor& bias);

/// grad W: [N, in].
at::Tensor linear_input_grad(const at::Tensor& grad, const StoredWeight& weight);

/// grad^T x: [out, in].
at::Tensor linear_weight_grad(const at::Tensor& grad, const at::Tensor& x);

}  // namespace distill::ops
