#pragma once

#include <ATen/core/Tensor.h>

#include <distill/types/layer_states.h>
#include <distill/types/teacher_signal.h>

namespace distill::types {

/// What a causal LM returns. Logits are not formed: losses take hidden states and the head.
struct ModelOutput {
  at::Tensor hidden;  ///< [N, H], after the final norm
  at::Tensor head;    ///< [V, H]; the embedding matrix when tied
  LogitTransform transform;
  LayerStates layers = {};  ///< what was asked of the inner layers; else empty
};

/// fp32 logits [rows, V] of the given rows of `hidden`: bf16 inputs are multiplied with fp32
/// accumulation and the result is not rounded to bf16.
at::Tensor logits(const ModelOutput& output, const at::Tensor& hidden_rows);

}  // namespace distill::types
