// Members of LogitLoss; included by the file of each kind, which defines make_term and instantiates
// the class.

#include <distill/losses/logit_loss.h>

#include "losses/logit_terms.h"
#include "losses/options.h"

namespace distill::losses {

template <class Options>
LogitLoss<Options>::LogitLoss(const Options& options)
    : options_(checked(options, Options::kKind)), workspace_(std::make_unique<ops::Workspace>()) {}

template <class Options>
bool LogitLoss<Options>::needs_teacher() const {
  return make_term(options_).kind != ops::LogitTermKind::kCrossEntropy;
}

template <class Options>
types::LossValue LogitLoss<Options>::operator()(const LossInput& input) const {
  return evaluate_term(input, make_term(options_), name(), *workspace_);
}

template <class Options>
std::vector<std::string> LogitLoss<Options>::warnings(const types::TeacherSignal& teacher) const {
  return warnings_of_term(make_term(options_), name(), teacher);
}

template <class Options>
std::optional<ops::LogitTerm> LogitLoss<Options>::logit_term() const {
  return make_term(options_);
}

}  // namespace distill::losses
