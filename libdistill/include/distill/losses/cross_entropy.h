#pragma once

#include <string>

#include <distill/core/describe.h>
#include <distill/losses/loss.h>

namespace distill::losses {

struct CrossEntropyOptions {
  double weight = 1.0;  ///< factor of this loss in the total; >= 0
};
void describe(core::FieldVisitor& visit, CrossEntropyOptions& options);
void validate(const CrossEntropyOptions& options, core::Problems& problems);

/// -log S(label) summed over tokens, S = softmax(student): the usual language-model loss (Bengio et
/// al. 2003, "A Neural Probabilistic Language Model"). Derivative in the student's logit v: S_v,
/// less 1 at the label. Beside a loss that compares with a teacher, S is restricted to the ids that
/// both vocabularies have.
class CrossEntropy final : public Loss {
 public:
  /// Throws ConfigError for options that do not validate.
  explicit CrossEntropy(const CrossEntropyOptions& options);
  std::string name() const override { return "cross_entropy"; }
  bool needs_teacher() const override { return false; }
  types::LossValue operator()(const LossInput& input) const override;
  std::optional<ops::LogitTerm> logit_term() const override;

 private:
  CrossEntropyOptions options_;
};

}  // namespace distill::losses
