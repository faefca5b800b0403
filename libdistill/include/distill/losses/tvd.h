#pragma once

#include <distill/core/describe.h>
#include <distill/losses/logit_loss.h>

namespace distill::losses {

struct TvdOptions {
  static constexpr std::string_view kKind = "tvd";
  double weight = 1.0;       ///< factor of this loss in the total; >= 0
  double temperature = 3.0;  ///< divides the logits of both models; > 0. 3: Hinton's middle range
  bool scale_by_t2 = true;   ///< multiplies value and gradient by temperature^2
};
void describe(core::FieldVisitor& visit, TvdOptions& options);
void validate(const TvdOptions& options, core::Problems& problems);

/// T^2 sum_v |P_v - S_v| / 2, the total variation distance (Wen et al. 2023, "f-Divergence
/// Minimization for Sequence-Level Knowledge Distillation", section 3). Derivative in the student's
/// logit v: T S_v (sign(S_v - P_v) - sum_w S_w sign(S_w - P_w)) / 2.
using Tvd = LogitLoss<TvdOptions>;

}  // namespace distill::losses
