#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include <distill/types/teacher_signal.h>

namespace distill::ops {

struct LabelLogProbsInput {
  at::Tensor hidden;  ///< [N, H] fp32, bf16 or fp64
  at::Tensor head;    ///< [V, H] same dtype
  types::LogitTransform transform;
  at::Tensor labels;            ///< int64 [N], in [0, V) where they count
  at::Tensor valid;             ///< bool [N]; undefined: all. Other rows may hold anything, NaN too
  std::int64_t vocabulary = 0;  ///< ids of the tokenizer: rows of the head behind are padding
  std::int64_t workspace_bytes = std::int64_t{256} << 20;  ///< bound on the logits held at a time
};

/// log softmax(logits)[label] of each row, [N] in fp32 (fp64 for fp64); 0 where a row does not
/// count. Logits are formed for a few rows at a time and anew in the backward pass, so N x V
/// numbers are never held. Differentiable once in hidden and head, with any incoming gradient: what
/// depends on the probabilities of the text's own tokens can be put together behind it. On a GPU
/// where the tensors are. Throws c10::Error naming the argument on bad shapes, dtypes or values.
at::Tensor label_log_probs(const LabelLogProbsInput& input);

}  // namespace distill::ops
