#include <distill/losses/jsd.h>

#include "losses/divergence_options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, JsdOptions& options) {
  describe_divergence(visit, options);
  visit("beta", options.beta, "the teacher's share of the mixture, between 0 and 1");
}

void validate(const JsdOptions& options, core::Problems& problems) {
  validate_divergence(options, problems);
  check_share("beta", options.beta, "the losses forward_kl and reverse_kl are near its ends",
              problems);
}

ops::LogitTerm make_term(const JsdOptions& options) {
  ops::LogitTerm term = divergence_term(ops::LogitTermKind::kJsd, options);
  term.beta = options.beta;
  return term;
}

template class LogitLoss<JsdOptions>;

}  // namespace distill::losses
