#include <distill/losses/forward_kl.h>

#include "losses/divergence_options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, ForwardKlOptions& options) {
  describe_divergence(visit, options);
}

void validate(const ForwardKlOptions& options, core::Problems& problems) {
  validate_divergence(options, problems);
}

ops::LogitTerm make_term(const ForwardKlOptions& options) {
  return divergence_term(ops::LogitTermKind::kForwardKl, options);
}

template class LogitLoss<ForwardKlOptions>;

}  // namespace distill::losses
