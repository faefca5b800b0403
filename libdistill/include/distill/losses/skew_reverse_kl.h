#pragma once

#include <distill/core/describe.h>
#include <distill/losses/logit_loss.h>

namespace distill::losses {

struct SkewReverseKlOptions {
  static constexpr std::string_view kKind = "skew_reverse_kl";
  double weight = 1.0;       ///< factor of this loss in the total; >= 0
  double temperature = 3.0;  ///< divides the logits of both models; > 0. 3: Hinton's middle range
  bool scale_by_t2 = true;   ///< multiplies value and gradient by temperature^2
  double alpha = 0.1;        ///< the student's share of the mixture, in (0, 1)
};
void describe(core::FieldVisitor& visit, SkewReverseKlOptions& options);
void validate(const SkewReverseKlOptions& options, core::Problems& problems);

/// T^2 KL(S || M), M = alpha S + (1 - alpha) P: reverse KL that stays finite where the teacher has
/// nothing (Ko et al. 2024, "DistiLLM", section 3.1). Derivative in the student's logit v: T S_v
/// (H_v
/// - sum_w S_w H_w), H = log(S / M) + alpha (1 - alpha) (P - S) / M.
using SkewReverseKl = LogitLoss<SkewReverseKlOptions>;

}  // namespace distill::losses
