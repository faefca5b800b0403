#pragma once

#include <distill/core/describe.h>
#include <distill/losses/logit_loss.h>

namespace distill::losses {

struct AdaptiveKlOptions {
  static constexpr std::string_view kKind = "adaptive_kl";
  double weight = 1.0;       ///< factor of this loss in the total; >= 0
  double temperature = 3.0;  ///< divides the logits of both models; > 0. 3: Hinton's middle range
  bool scale_by_t2 = true;   ///< multiplies value and gradient by temperature^2
};
void describe(core::FieldVisitor& visit, AdaptiveKlOptions& options);
void validate(const AdaptiveKlOptions& options, core::Problems& problems);

/// T^2 (f KL(P || S) + (1 - f) KL(S || P)) with a weight of each token's own: f is the part of
/// sum_v |P_v - S_v| that lies in the head, the teacher's likeliest ids that together reach half of
/// its probability (ids as likely as the last of them included) (Wu et al. 2024, "Rethinking
/// Kullback-Leibler Divergence in Knowledge Distillation for Large Language Models", section 4). f
/// counts as a constant in the derivative, as in the paper.
using AdaptiveKl = LogitLoss<AdaptiveKlOptions>;

}  // namespace distill::losses
