#pragma once

#include <ATen/core/Tensor.h>

#include "ops/device_queue.h"

/// What the operators of ops/norm.h are made of, on the CPU and, with a queue, on its device. All
/// tensors are contiguous.
namespace distill::ops {

struct NormInput {
  at::Tensor x;         ///< [..., H]
  at::Tensor residual;  ///< undefined: none
  at::Tensor weight;    ///< [H]
  double eps = 0;
  bool keep_rstd = false;
};
struct NormOutput {
  at::Tensor normed;
  at::Tensor sum;   ///< undefined without a residual
  at::Tensor rstd;  ///< undefined unless asked for
};
NormOutput norm_forward(const NormInput& in, const MaybeQueue& queue, const char* op);

struct NormGradInput {
  at::Tensor x;  ///< what was normalised
  at::Tensor weight;
  at::Tensor rstd;
  at::Tensor grad_normed;
  at::Tensor grad_sum;  ///< may be undefined
  bool wants_x = true;
  bool wants_weight = true;
};
struct NormGradients {
  at::Tensor x;
  at::Tensor weight;
};
NormGradients norm_backward(const NormGradInput& in, const MaybeQueue& queue, const char* op);

}  // namespace distill::ops
