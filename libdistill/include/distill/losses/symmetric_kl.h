#pragma once

#include <distill/core/describe.h>
#include <distill/losses/logit_loss.h>

namespace distill::losses {

struct SymmetricKlOptions {
  static constexpr std::string_view kKind = "symmetric_kl";
  double weight = 1.0;       ///< factor of this loss in the total; >= 0
  double temperature = 3.0;  ///< divides the logits of both models; > 0. 3: Hinton's middle range
  bool scale_by_t2 = true;   ///< multiplies value and gradient by temperature^2
  double forward_weight = 0.5;  ///< of KL(P || S); >= 0
  double reverse_weight = 0.5;  ///< of KL(S || P); >= 0
};
void describe(core::FieldVisitor& visit, SymmetricKlOptions& options);
void validate(const SymmetricKlOptions& options, core::Problems& problems);

/// T^2 (f KL(P || S) + r KL(S || P)) with weights f and r; f = r = 1 is Jeffreys' divergence
/// (Kullback and Leibler 1951, "On Information and Sufficiency"). Derivative: the same sum of both
/// derivatives (forward_kl, reverse_kl).
using SymmetricKl = LogitLoss<SymmetricKlOptions>;

}  // namespace distill::losses
