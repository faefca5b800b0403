#pragma once

#include <distill/core/describe.h>
#include <distill/losses/logit_loss.h>

namespace distill::losses {

struct JsdOptions {
  static constexpr std::string_view kKind = "jsd";
  double weight = 1.0;       ///< factor of this loss in the total; >= 0
  double temperature = 3.0;  ///< divides the logits of both models; > 0. 3: Hinton's middle range
  bool scale_by_t2 = true;   ///< multiplies value and gradient by temperature^2
  double beta = 0.5;         ///< the teacher's share of the mixture, in (0, 1)
};
void describe(core::FieldVisitor& visit, JsdOptions& options);
void validate(const JsdOptions& options, core::Problems& problems);

/// T^2 (beta KL(P || M) + (1 - beta) KL(S || M)), M = beta P + (1 - beta) S: the generalised
/// Jensen-Shannon divergence (Agarwal et al. 2023, "On-Policy Distillation of Language Models",
/// section 2). Derivative in the student's logit v: T (1 - beta) S_v (log(S_v / M_v) - KL(S || M)).
/// Its value goes to 0 as beta goes to 0 or 1, unlike the KLs that some tools put there.
using Jsd = LogitLoss<JsdOptions>;

}  // namespace distill::losses
