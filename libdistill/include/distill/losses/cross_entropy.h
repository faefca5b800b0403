#pragma once

#include <distill/core/describe.h>
#include <distill/losses/logit_loss.h>

namespace distill::losses {

struct CrossEntropyOptions {
  static constexpr std::string_view kKind = "cross_entropy";
  double weight = 1.0;           ///< factor of this loss in the total; >= 0
  double label_smoothing = 0.0;  ///< share of the target that is spread over all ids; [0, 1)
  double z_loss = 0.0;           ///< weight of the squared log of the softmax's denominator; >= 0
};
void describe(core::FieldVisitor& visit, CrossEntropyOptions& options);
void validate(const CrossEntropyOptions& options, core::Problems& problems);

/// -sum_v Q_v log S_v + z log^2 Z at temperature 1: the usual language-model loss (Bengio et al.
/// 2003, "A Neural Probabilistic Language Model"). Q is 1 at the label, less label_smoothing e, and
/// e / V more everywhere (Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer
/// Vision", section 7); Z = sum_v exp(logit v), kept near 1 by z (Chowdhery et al. 2022, "PaLM",
/// section 5). Derivative in the student's logit v: S_v - Q_v + 2 z S_v log Z. Beside a loss that
/// compares with a teacher, S and V are restricted to the ids that both vocabularies have.
using CrossEntropy = LogitLoss<CrossEntropyOptions>;

}  // namespace distill::losses
