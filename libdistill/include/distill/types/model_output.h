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

}  // namespace distill::types
