#pragma once

#include <ATen/core/Tensor.h>

#include "ops/attention_brgemm.h"

namespace distill::ops {

/// By LibTorch's scaled_dot_product_attention, differentiable: for fp32, fp64 and whatever the
/// fused kernel does not take.
at::Tensor sdpa_attention(const AttentionProblem& problem);

}  // namespace distill::ops
