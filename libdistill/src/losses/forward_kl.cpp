#include <distill/losses/forward_kl.h>

#include "losses/logit_terms.h"
#include "losses/options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, ForwardKlOptions& options) {
  visit("weight", options.weight, "factor of this loss in the total");
  visit("temperature", options.temperature, "divides the logits of both models");
  visit("scale_by_t2", options.scale_by_t2, "multiply value and gradient by temperature^2");
}

void validate(const ForwardKlOptions& options, core::Problems& problems) {
  check_weight(options.weight, problems);
  if (!std::isfinite(options.temperature) || options.temperature <= 0) {
    problems.add("temperature", core::concat("must be above 0, is ", options.temperature));
  }
}

ForwardKl::ForwardKl(const ForwardKlOptions& options) : options_(checked(options, "forward_kl")) {}

std::optional<ops::LogitTerm> ForwardKl::logit_term() const {
  return ops::LogitTerm{ops::LogitTermKind::kForwardKl, options_.weight, options_.temperature,
                        options_.scale_by_t2};
}

types::LossValue ForwardKl::operator()(const LossInput& input) const {
  return evaluate_term(input, *logit_term(), name());
}

}  // namespace distill::losses
