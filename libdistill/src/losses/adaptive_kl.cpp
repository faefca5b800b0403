#include <distill/losses/adaptive_kl.h>

#include "losses/divergence_options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, AdaptiveKlOptions& options) {
  describe_divergence(visit, options);
}

void validate(const AdaptiveKlOptions& options, core::Problems& problems) {
  validate_divergence(options, problems);
}

ops::LogitTerm make_term(const AdaptiveKlOptions& options) {
  return divergence_term(ops::LogitTermKind::kAdaptiveKl, options);
}

template class LogitLoss<AdaptiveKlOptions>;

}  // namespace distill::losses
