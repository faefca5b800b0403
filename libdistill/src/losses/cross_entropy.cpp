#include <distill/losses/cross_entropy.h>

#include "losses/logit_terms.h"
#include "losses/options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, CrossEntropyOptions& options) {
  visit("weight", options.weight, "factor of this loss in the total");
}

void validate(const CrossEntropyOptions& options, core::Problems& problems) {
  check_weight(options.weight, problems);
}

CrossEntropy::CrossEntropy(const CrossEntropyOptions& options)
    : options_(checked(options, "cross_entropy")) {}

std::optional<ops::LogitTerm> CrossEntropy::logit_term() const {
  return ops::LogitTerm{ops::LogitTermKind::kCrossEntropy, options_.weight};
}

types::LossValue CrossEntropy::operator()(const LossInput& input) const {
  return evaluate_term(input, *logit_term(), name());
}

}  // namespace distill::losses
