#pragma once

#include <distill/core/describe.h>
#include <distill/losses/logit_loss.h>

namespace distill::losses {

struct ForwardKlOptions {
  static constexpr std::string_view kKind = "forward_kl";
  double weight = 1.0;       ///< factor of this loss in the total; >= 0
  double temperature = 3.0;  ///< divides the logits of both models; > 0. 3: Hinton's middle range
  bool scale_by_t2 = true;   ///< multiplies value and gradient by temperature^2
};
void describe(core::FieldVisitor& visit, ForwardKlOptions& options);
void validate(const ForwardKlOptions& options, core::Problems& problems);

/// T^2 KL(P || S) (Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network").
/// Per token: T^2 sum_v P_v (log P_v - log S_v); derivative in the student's logit v: T (S_v -
/// P_v). The value is the divergence itself, without the teacher's entropy: 0 for identical models.
using ForwardKl = LogitLoss<ForwardKlOptions>;

}  // namespace distill::losses
