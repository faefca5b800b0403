#pragma once

#include <span>
#include <string>
#include <vector>

#include <distill/losses/loss.h>

namespace distill::losses {

/// All `terms` in one pass over the heads; `names` of the parts, one a term.
types::LossValue evaluate_terms(const LossInput& input, std::span<const ops::LogitTerm> terms,
                                std::span<const std::string> names, ops::Workspace& workspace);

/// The one-term case.
types::LossValue evaluate_term(const LossInput& input, const ops::LogitTerm& term,
                               const std::string& name, ops::Workspace& workspace);

/// Of a term whose teacher gives only some ids, at another temperature.
std::vector<std::string> warnings_of_term(const ops::LogitTerm& term, const std::string& name,
                                          const types::TeacherSignal& teacher);

}  // namespace distill::losses
