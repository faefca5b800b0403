#pragma once

#include <ATen/core/Tensor.h>

#include "ops/attention_brgemm.h"

namespace distill::ops {

/// By LibTorch's scaled_dot_product_attention, differentiable: for GPUs, fp32, fp64 and whatever
/// the fused kernel does not take. One call for each run of segments of one length, not one with a
/// mask over all of them: the fused kernels know a causal border without a mask, and what is behind
/// another segment's border costs nothing.
at::Tensor sdpa_attention(const AttentionProblem& problem);

}  // namespace distill::ops
