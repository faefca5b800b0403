#pragma once

#include <string>

#include <distill/losses/loss.h>

namespace distill::losses {

/// A loss over both models' logits, one term of the fused pass (distill/ops/linear_divergence.h).
/// `Options` says which: its kKind, its numbers, and how they make a term. P = softmax(teacher / T)
/// and S = softmax(student / T) below; values are sums over tokens; with scale_by_t2 value and
/// gradient are multiplied by T^2, so that the gradient's size does not depend on T.
template <class Options>
class LogitLoss final : public Loss {
 public:
  /// Throws ConfigError for options that do not validate.
  explicit LogitLoss(const Options& options);
  std::string name() const override { return std::string(Options::kKind); }
  bool needs_teacher() const override;
  types::LossValue operator()(const LossInput& input) const override;
  /// A top-k teacher of another temperature than the loss's.
  std::vector<std::string> warnings(const types::TeacherSignal& teacher) const override;
  std::optional<ops::LogitTerm> logit_term() const override;

 private:
  Options options_;
  std::unique_ptr<ops::Workspace> workspace_;  ///< kept from call to call
};

}  // namespace distill::losses
