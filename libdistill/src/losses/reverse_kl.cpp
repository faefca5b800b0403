#include <distill/losses/reverse_kl.h>

#include "losses/divergence_options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, ReverseKlOptions& options) {
  describe_divergence(visit, options);
}

void validate(const ReverseKlOptions& options, core::Problems& problems) {
  validate_divergence(options, problems);
}

ops::LogitTerm make_term(const ReverseKlOptions& options) {
  return divergence_term(ops::LogitTermKind::kReverseKl, options);
}

template class LogitLoss<ReverseKlOptions>;

}  // namespace distill::losses
