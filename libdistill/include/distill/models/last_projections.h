#pragma once

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include <distill/nn/linear.h>
#include <distill/types/model_input.h>

namespace distill::models {

/// The last projection of a dense layer, in a pass over N tokens: the layer's result is
/// residual + projection(inner).
struct LastProjection {
  std::int64_t layer = 0;
  at::Tensor inner;     ///< [N, I]
  at::Tensor residual;  ///< [N, H]
  nn::Linear& projection;
};

/// A model that shows these projections as it goes.
class LastProjections {
 public:
  using Visitor = std::function<void(const LastProjection&)>;
  virtual ~LastProjections() = default;
  /// A forward pass without a graph. `visit` sees the projection of each layer, the first layer
  /// first, before it is used, and may write to its weight: what follows is computed with it.
  /// Layers of experts are passed over. Throws InputError as CausalLm::forward.
  virtual void visit_last_projections(const types::ModelInput& input, const Visitor& visit) = 0;
};

}  // namespace distill::models
