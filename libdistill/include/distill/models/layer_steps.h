#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

#include <distill/nn/linear.h>
#include <distill/types/model_input.h>
#include <distill/types/model_output.h>

namespace distill::models {

/// The end of a dense layer over N tokens: its result is residual + projection(inner).
struct LastProjection {
  at::Tensor inner;     ///< [N, I]
  at::Tensor residual;  ///< [N, H]
  nn::Linear* projection = nullptr;
};

/// A model whose layers can be run one at a time, without a graph. Tokens are those of `input`,
/// states [N, H] in the model's type. All throw InputError as CausalLm::forward, and for a layer
/// that is not there.
class LayerSteps {
 public:
  virtual ~LayerSteps() = default;
  /// What the first layer reads.
  virtual at::Tensor first_states(const types::ModelInput& input) = 0;
  /// What `layer` makes of `states`.
  virtual at::Tensor step(std::int64_t layer, const at::Tensor& states,
                          const types::ModelInput& input) = 0;
  /// The same up to its last projection, which belongs to the model and may be changed; nothing
  /// for a layer of experts.
  virtual std::optional<LastProjection> last_projection(std::int64_t layer,
                                                        const at::Tensor& states,
                                                        const types::ModelInput& input) = 0;
  /// What CausalLm::forward returns for the states behind the last layer.
  virtual types::ModelOutput output_of(const at::Tensor& states) = 0;
};

}  // namespace distill::models
