#include <distill/losses/skew_forward_kl.h>

#include "losses/divergence_options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, SkewForwardKlOptions& options) {
  describe_divergence(visit, options);
  visit("alpha", options.alpha, "the teacher's share of the mixture, between 0 and 1");
}

void validate(const SkewForwardKlOptions& options, core::Problems& problems) {
  validate_divergence(options, problems);
  check_share("alpha", options.alpha, "0 is the loss forward_kl", problems);
}

ops::LogitTerm make_term(const SkewForwardKlOptions& options) {
  ops::LogitTerm term = divergence_term(ops::LogitTermKind::kSkewForwardKl, options);
  term.beta = options.alpha;
  return term;
}

template class LogitLoss<SkewForwardKlOptions>;

}  // namespace distill::losses
