#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

#include <distill/types/layer_states.h>

namespace distill::ops {

struct AttentionDivergenceInput {
  types::AttentionInputs student;  ///< fp32, bf16 or fp64
  types::AttentionInputs teacher;  ///< same N; its heads and their size may differ; no gradient
  std::span<const std::int64_t> segments;  ///< as in types::ModelInput
  at::Tensor valid;    ///< bool [N], the query positions that count. Undefined: all
  at::Tensor weights;  ///< fp32 or fp64 [N], >= 0: factors of the query positions. Undefined: 1
  /// Bound on the maps that are held at a time, whatever N is; at least one query row is.
  std::int64_t workspace_bytes = std::int64_t{64} << 20;
};

/// sum_i w_i mean_h KL(T_hi || S_hi) over the valid query positions i and the heads h, where T and
/// S are the causal attention maps softmax(scale q k^T) inside each segment. Where the numbers of
/// heads differ, both models' maps are averaged over their heads first and the KL is that of the
/// averages.
///
/// fp32 (fp64 for fp64 students) scalar, differentiable once in the student's q and k: with the
/// same number of heads, dL/d(score_hij) = w_i (S_hij - T_hij) / heads. Maps are formed in blocks
/// of query rows with fp32 softmax and thrown away; the gradient is formed with them, so that
/// nothing is computed twice and no map is kept for the backward pass.
///
/// Rows that do not count may hold anything (NaN too) in q, and in k where no valid query of their
/// segment comes after them; they get a gradient of zero there. The key of an earlier one is seen
/// by the queries after it and has their gradient, as in the model itself. Throws c10::Error naming
/// the argument on bad shapes, dtypes or segments.
at::Tensor attention_divergence(const AttentionDivergenceInput& input);

}  // namespace distill::ops
