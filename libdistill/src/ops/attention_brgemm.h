#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

#include <distill/ops/attention.h>

/// bf16 attention on products with fp32 results, for CPUs that have them (ops/brgemm.h).
namespace distill::ops {

/// Checked by the operators.
struct AttentionProblem {
  at::Tensor q, k, v;                      ///< as in packed_causal_attention
  std::span<const std::int64_t> segments;  ///< of the keys
  AttentionOptions options;
  std::int64_t first_query = 0;  ///< the segment's keys before it have no query (a cache)
};

/// True where this machine and these tensors fit.
bool brgemm_attention_fits(const AttentionProblem& problem);

struct AttentionResult {
  at::Tensor output;    ///< [N, heads, Dv]
  at::Tensor log_sums;  ///< fp32 [N, heads]: log2 of the sum of 2^(score * log2(e))
};
AttentionResult brgemm_attention(const AttentionProblem& problem);

struct AttentionGradients {
  at::Tensor q, k, v;
};
AttentionGradients brgemm_attention_grad(const AttentionProblem& problem,
                                         const AttentionResult& result, const at::Tensor& grad);

}  // namespace distill::ops
