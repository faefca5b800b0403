#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include <distill/models/layer_steps.h>

#include "models/text_pieces.h"

/// A dense layer's last projection, changed so that the layer's result is what another's is.
namespace distill::models {

/// What the states behind a layer should be, and by which factor each token's error counts: its
/// inverse norm, but not for states that are small among the others.
struct LayerGoal {
  explicit LayerGoal(at::Tensor states);

  /// What is missing in `states` (fp32) of a piece, by the weights.
  at::Tensor missing(const Piece& piece, const at::Tensor& states) const;

  at::Tensor target;   ///< [N, H]
  at::Tensor weights;  ///< fp32 [N, 1]
};

double sum_of_squares(const at::Tensor& values);

/// Normal equations of a projection, summed over texts in float64.
class LayerEquations {
 public:
  explicit LayerEquations(std::int64_t layer) : layer_(layer) {}

  /// Throws UnsupportedError for weights that are quantised or have an adapter.
  void add(const Piece& piece, const LastProjection& last, const LayerGoal& goal);
  /// Squares of what has been missing so far.
  double squares() const { return squares_; }
  /// What is to be added to the projection's weight [H, I], float64; once only. `ridge`: added to
  /// the diagonal, relative to its mean. Throws Error where states are not finite, and where the
  /// ridge is too small for the tokens.
  at::Tensor solve(double ridge);

 private:
  std::int64_t layer_;
  double squares_ = 0;
  at::Tensor gram_, right_;
};

}  // namespace distill::models
