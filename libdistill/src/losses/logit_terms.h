#pragma once

#include <span>
#include <string>

#include <distill/losses/loss.h>

namespace distill::losses {

/// All `terms` in one pass over the heads; `names` of the parts, one a term.
types::LossValue evaluate_terms(const LossInput& input, std::span<const ops::LogitTerm> terms,
                                std::span<const std::string> names, ops::Workspace& workspace);

/// The one-term case.
types::LossValue evaluate_term(const LossInput& input, const ops::LogitTerm& term,
                               const std::string& name, ops::Workspace& workspace);

}  // namespace distill::losses
