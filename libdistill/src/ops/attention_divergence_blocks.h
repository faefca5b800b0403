#pragma once

#include <distill/ops/attention_divergence.h>

/// The numeric part of ops::attention_divergence.
namespace distill::ops {

struct AttentionDivergenceSums {
  double value = 0;
  at::Tensor q_grad;  ///< [N, heads, D] fp32 (fp64), zeros in rows that do not count; or undefined
  at::Tensor k_grad;  ///< [N, kv_heads, D]; or undefined
};

/// `input` is checked. No graph is recorded. `with_gradients`: form them too.
AttentionDivergenceSums sum_attention_divergence(const AttentionDivergenceInput& input,
                                                 bool with_gradients);

}  // namespace distill::ops
