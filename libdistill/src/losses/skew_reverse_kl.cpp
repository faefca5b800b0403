#include <distill/losses/skew_reverse_kl.h>

#include "losses/divergence_options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, SkewReverseKlOptions& options) {
  describe_divergence(visit, options);
  visit("alpha", options.alpha, "the student's share of the mixture, between 0 and 1");
}

void validate(const SkewReverseKlOptions& options, core::Problems& problems) {
  validate_divergence(options, problems);
  check_share("alpha", options.alpha, "0 is the loss reverse_kl", problems);
}

ops::LogitTerm make_term(const SkewReverseKlOptions& options) {
  ops::LogitTerm term = divergence_term(ops::LogitTermKind::kSkewReverseKl, options);
  term.beta = options.alpha;
  return term;
}

template class LogitLoss<SkewReverseKlOptions>;

}  // namespace distill::losses
