#pragma once

#include <distill/core/describe.h>
#include <distill/losses/logit_loss.h>

namespace distill::losses {

struct ReverseKlOptions {
  static constexpr std::string_view kKind = "reverse_kl";
  double weight = 1.0;       ///< factor of this loss in the total; >= 0
  double temperature = 3.0;  ///< divides the logits of both models; > 0. 3: Hinton's middle range
  bool scale_by_t2 = true;   ///< multiplies value and gradient by temperature^2
};
void describe(core::FieldVisitor& visit, ReverseKlOptions& options);
void validate(const ReverseKlOptions& options, core::Problems& problems);

/// T^2 KL(S || P): the student keeps to what the teacher finds likely (Gu et al. 2023, "MiniLLM:
/// Knowledge Distillation of Large Language Models", section 2.1). Per token: T^2 sum_v S_v (log
/// S_v
/// - log P_v); derivative in the student's logit v: T S_v (log S_v - log P_v - KL). Infinite by
/// definition where a teacher excludes ids with a logit of -infinity and the student does not.
using ReverseKl = LogitLoss<ReverseKlOptions>;

}  // namespace distill::losses
