#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <distill/models/causal_lm.h>
#include <distill/types/model_input.h>

namespace distill::models {

/// Some layers of a model, ascending, and KL(model || these layers, fitted as fit_layers does) in
/// nats a token on texts that the fit has not seen.
struct LayerChoice {
  std::vector<std::int64_t> layers;
  double kl = 0;
};

struct ChooseLayersProgress {
  std::int64_t done = 0;  ///< gaps measured
  std::int64_t of = 0;
};

struct ChooseLayersOptions {
  double ridge = 0.1;  ///< as FitLayersOptions::ridge
  /// Called after each measurement; what it throws ends the search. May be empty.
  std::function<void(const ChooseLayersProgress&)> on_progress = {};
};

struct ChosenLayers {
  LayerChoice even;  ///< evenly spaced, what one would take otherwise
  LayerChoice best;
};

/// Which `count` layers of `model`, the first among them, are the best start of a student. Every
/// gap behind a layer is measured alone: the layer is fitted to what it and the gap did, all other
/// layers stay, and the KL is taken at the model's end. Of all choices the one with the least sum
/// is found by dynamic programming; where evenly spaced layers have a lower KL, it is those. No
/// layer stands for more than twice as many as on average, rounded up. The KL of a whole choice
/// says less of how a student ends than that sum does (docs/experiments/best_recipe.md). The last
/// fifth of the sequences of `texts` is kept from the fits to be measured on; states [N, H] behind
/// all layers are held.
///
/// Throws InputError for a count that is not between 1 and the model's layers and for fewer than
/// five sequences, Error for a model whose states are not finite, and as fit_layers does.
ChosenLayers choose_layers(CausalLm& model, std::int64_t count, const types::ModelInput& texts,
                           const ChooseLayersOptions& options);

}  // namespace distill::models
