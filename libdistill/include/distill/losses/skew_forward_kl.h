#pragma once

#include <distill/core/describe.h>
#include <distill/losses/logit_loss.h>

namespace distill::losses {

struct SkewForwardKlOptions {
  static constexpr std::string_view kKind = "skew_forward_kl";
  double weight = 1.0;       ///< factor of this loss in the total; >= 0
  double temperature = 3.0;  ///< divides the logits of both models; > 0. 3: Hinton's middle range
  bool scale_by_t2 = true;   ///< multiplies value and gradient by temperature^2
  double alpha = 0.1;        ///< the teacher's share of the mixture, in (0, 1)
};
void describe(core::FieldVisitor& visit, SkewForwardKlOptions& options);
void validate(const SkewForwardKlOptions& options, core::Problems& problems);

/// T^2 KL(P || M), M = alpha P + (1 - alpha) S: forward KL that stays finite where the student has
/// nothing (Ko et al. 2024, "DistiLLM: Towards Streamlined Distillation for Large Language Models",
/// section 3.1). Derivative in the student's logit v: -T (1 - alpha)^2 S_v (E_v - sum_w S_w E_w),
/// E = (P - S) / M.
using SkewForwardKl = LogitLoss<SkewForwardKlOptions>;

}  // namespace distill::losses
