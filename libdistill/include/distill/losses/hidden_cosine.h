#pragma once

#include <distill/core/describe.h>
#include <distill/losses/hidden_loss.h>

namespace distill::losses {

struct HiddenCosineOptions {
  static constexpr std::string_view kKind = "hidden_cosine";
  double weight = 1.0;                 ///< factor of this loss in the total; >= 0
  std::vector<LayerPair> layers = {};  ///< empty: evenly_spaced_pairs of all
  bool project = false;                ///< learn a linear map to the teacher's width
};
void describe(core::FieldVisitor& visit, HiddenCosineOptions& options);
void validate(const HiddenCosineOptions& options, core::Problems& problems);

/// 1 - cos(y, t) (Sanh et al. 2019, "DistilBERT, a distilled version of BERT: smaller, faster,
/// cheaper and lighter", section 2), formed as |y / |y| - t / |t||^2 / 2, which is exactly 0 for
/// equal rows. Derivative in y: (cos(y, t) y / |y| - t / |t|) / |y|. The lengths of the states do
/// not matter. A row of zeros is at a distance of 1/2 from any other.
using HiddenCosine = HiddenLoss<HiddenCosineOptions>;

}  // namespace distill::losses
