#include <distill/losses/tvd.h>

#include "losses/divergence_options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, TvdOptions& options) {
  describe_divergence(visit, options);
}

void validate(const TvdOptions& options, core::Problems& problems) {
  validate_divergence(options, problems);
}

ops::LogitTerm make_term(const TvdOptions& options) {
  return divergence_term(ops::LogitTermKind::kTvd, options);
}

template class LogitLoss<TvdOptions>;

}  // namespace distill::losses
