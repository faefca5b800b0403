#include <distill/losses/symmetric_kl.h>

#include "losses/divergence_options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, SymmetricKlOptions& options) {
  describe_divergence(visit, options);
  visit("forward_weight", options.forward_weight, "factor of KL(teacher || student)");
  visit("reverse_weight", options.reverse_weight, "factor of KL(student || teacher)");
}

void validate(const SymmetricKlOptions& options, core::Problems& problems) {
  validate_divergence(options, problems);
  check_not_negative("forward_weight", options.forward_weight, problems);
  check_not_negative("reverse_weight", options.reverse_weight, problems);
}

ops::LogitTerm make_term(const SymmetricKlOptions& options) {
  ops::LogitTerm term = divergence_term(ops::LogitTermKind::kSymmetricKl, options);
  term.forward_weight = options.forward_weight;
  term.reverse_weight = options.reverse_weight;
  return term;
}

template class LogitLoss<SymmetricKlOptions>;

}  // namespace distill::losses
