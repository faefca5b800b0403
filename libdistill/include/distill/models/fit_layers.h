#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <distill/models/causal_lm.h>
#include <distill/types/model_input.h>

namespace distill::models {

/// How well a layer of a student does what the layers of the source did that it stands for: the
/// root of the mean over tokens of the squared error of its result, relative to the square of what
/// it should be.
struct LayerFit {
  std::int64_t layer = 0;  ///< of the student
  double error_before = 0;
  double error_after = 0;
};

struct FitLayersOptions {
  /// Keeps weights near what they were: added to the normal equations' diagonal, relative to its
  /// mean.
  double ridge = 0.1;
  std::function<void()> between_pieces = {};  ///< what it throws ends the fit. May be empty
};

/// A start for a student made of some layers of `source`: layer i stands for the layers kept[i] to
/// kept[i + 1] - 1, so its last projection (down_proj) is changed to give what the last of them
/// gives, by ridge regression on the tokens of `texts`: products in the model's type, sums and
/// solution in float64. One layer after the other, each reading what the fitted ones before it
/// give. Tokens count by the error relative to their state's
/// mean square (at least a tenth of the median's), since those of first tokens are huge. Layers of
/// experts stay as they are. Of all tokens only two states are held, one of each model. The pruning
/// of whole layers with a linear map in their place is due to Shopkhoev et al. 2025 ("ReplaceMe",
/// section 3), which fits one [H, H] in front of a cut.
///
/// `kept`: source layers of the student's, ascending. Throws UnsupportedError for a family that
/// does not show its layers and for weights that are quantised or have an adapter, InputError as
/// CausalLm::forward, Error when the equations cannot be solved (states that are not finite).
std::vector<LayerFit> fit_layers(CausalLm& student, CausalLm& source,
                                 std::span<const std::int64_t> kept, const types::ModelInput& texts,
                                 const FitLayersOptions& options);

}  // namespace distill::models
