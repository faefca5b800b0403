#pragma once

#include <string>

#include <distill/losses/layer_pairs.h>
#include <distill/losses/loss.h>

namespace distill::losses {

/// A loss over pairs of hidden states after inner blocks (without the final norm). `Options` says
/// which: its kKind and how two rows are compared. y is the student's row, times the learned matrix
/// W [teacher width, student width] when `project` is set (one matrix for all pairs, as in
/// TinyBERT; fp32, first values uniform in +-1/sqrt(student width)); t is the teacher's row. The
/// value is the sum over valid tokens of the mean over the pairs; all of it is computed in fp32
/// (fp64 for fp64 students).
template <class Options>
class HiddenLoss final : public Loss {
 public:
  /// Throws ConfigError for options that do not validate.
  explicit HiddenLoss(const Options& options);
  std::string name() const override { return std::string(Options::kKind); }
  bool needs_teacher() const override { return true; }
  void check(const LossContext& context) const override;
  void prepare(const LossContext& context) override;
  LayerNeeds needs() const override;
  std::vector<LossParameter> parameters() const override;
  /// Throws Error when it was not prepared.
  types::LossValue operator()(const LossInput& input) const override;

 private:
  Options options_;
  std::vector<LayerPair> pairs_;  ///< empty until prepared
  at::Tensor projection_;         ///< undefined: none
};

}  // namespace distill::losses
