#pragma once

#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

namespace distill::nn {

/// A piece of a model: the same inputs always give the same outputs.
using Piece = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& inputs)>;

/// piece(inputs), but what its backward pass needs is not kept: the piece runs once more there
/// (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"). Values and gradients are
/// the same to the bit. `parameters`: every tensor beside the inputs that the piece reads and that
/// may want a gradient. A second derivative is refused.
std::vector<at::Tensor> recomputed(const Piece& piece, const std::vector<at::Tensor>& inputs,
                                   const std::vector<at::Tensor>& parameters);

}  // namespace distill::nn
