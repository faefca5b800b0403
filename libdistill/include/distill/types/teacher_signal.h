#pragma once

#include <variant>

#include <ATen/core/Tensor.h>

namespace distill::types {

/// What the model's own config does to logits before the softmax.
struct LogitTransform {
  double scale = 1.0;    ///< logits are multiplied by it
  double softcap = 0.0;  ///< c > 0: c * tanh(logits / c), after the scale; 0: off
  bool operator==(const LogitTransform&) const = default;
};

/// The teacher's last hidden states and its head: the loss forms logits tile by tile.
struct DenseHidden {
  at::Tensor hidden;  ///< [N, Ht], after the final norm
  at::Tensor head;    ///< [Vt, Ht]
  LogitTransform transform;
};

/// Logits the caller already holds.
struct DenseLogits {
  at::Tensor logits;  ///< [N, Vt], before temperature
};

/// What a teacher says about each position of a batch; monostate: there is no teacher.
using TeacherSignal = std::variant<std::monostate, DenseHidden, DenseLogits>;

}  // namespace distill::types
