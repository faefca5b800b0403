#pragma once

#include <distill/core/describe.h>
#include <distill/losses/hidden_loss.h>

namespace distill::losses {

struct HiddenMseOptions {
  static constexpr std::string_view kKind = "hidden_mse";
  double weight = 1.0;                 ///< factor of this loss in the total; >= 0
  std::vector<LayerPair> layers = {};  ///< empty: evenly_spaced_pairs of all
  bool project = false;                ///< learn a linear map to the teacher's width
  bool relative = false;  ///< divides each error by the mean square of the teacher's row
};
void describe(core::FieldVisitor& visit, HiddenMseOptions& options);
void validate(const HiddenMseOptions& options, core::Problems& problems);

/// (1 / H) sum_f (y_f - t_f)^2, H the teacher's width (Jiao et al. 2020, "TinyBERT: Distilling BERT
/// for Natural Language Understanding", section 3.1, the hidden states' part). Derivative in y_f:
/// (2 / H) (y_f - t_f).
///
/// The mean over features keeps the value's size apart from the width; nothing else is normalised
/// by default, as in the paper. Language models have a few layers and tokens whose states are
/// hundreds of times larger than the rest and would be all the loss sees; `relative` divides value
/// and derivative of each token and layer by (1 / H) sum_f t_f^2 (a row of zeros by 1).
using HiddenMse = HiddenLoss<HiddenMseOptions>;

}  // namespace distill::losses
