#include <distill/models/causal_lm.h>

#include <distill/core/error.h>

namespace distill::models {

types::ModelOutput CausalLm::forward_with_layers(const types::ModelInput& input,
                                                 const types::LayerRequest& wanted) {
  if (wanted.empty()) return forward(input);
  fail<UnsupportedError>(
      "this model family does not show its inner layers; use losses over logits with it");
}

}  // namespace distill::models
