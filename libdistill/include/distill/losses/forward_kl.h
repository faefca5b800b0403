#pragma once

#include <string>

#include <distill/core/describe.h>
#include <distill/losses/loss.h>

namespace distill::losses {

struct ForwardKlOptions {
  double weight = 1.0;       ///< factor of this loss in the total; >= 0
  double temperature = 3.0;  ///< divides the logits of both models; > 0. 3: Hinton's middle range
  bool scale_by_t2 = true;   ///< multiplies value and gradient by temperature^2, so that the
                             ///< gradient's size does not depend on the temperature
};
void describe(core::FieldVisitor& visit, ForwardKlOptions& options);
void validate(const ForwardKlOptions& options, core::Problems& problems);

/// T^2 KL(P || S) summed over tokens, P = softmax(teacher / T), S = softmax(student / T)
/// (Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network").
/// Per token: T^2 sum_v P_v (log P_v - log S_v); derivative in the student's logit v: T (S_v -
/// P_v). The value is the divergence itself, without the teacher's entropy: 0 for identical models.
class ForwardKl final : public Loss {
 public:
  /// Throws ConfigError for options that do not validate.
  explicit ForwardKl(const ForwardKlOptions& options);
  std::string name() const override { return "forward_kl"; }
  bool needs_teacher() const override { return true; }
  types::LossValue operator()(const LossInput& input) const override;
  std::optional<ops::LogitTerm> logit_term() const override;

 private:
  ForwardKlOptions options_;
};

}  // namespace distill::losses
