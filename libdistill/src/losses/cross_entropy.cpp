#include <distill/losses/cross_entropy.h>

#include "losses/logit_loss.inl"
#include "losses/options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, CrossEntropyOptions& options) {
  visit("weight", options.weight, "factor of this loss in the total");
  visit("label_smoothing", options.label_smoothing,
        "share of the target that is spread over all ids, from 0 to below 1");
  visit("z_loss", options.z_loss,
        "weight of the squared log of the softmax's denominator; PaLM used 1e-4");
}

void validate(const CrossEntropyOptions& options, core::Problems& problems) {
  check_not_negative("weight", options.weight, problems);
  if (!(options.label_smoothing >= 0 && options.label_smoothing < 1)) {
    problems.add("label_smoothing",
                 core::concat("must be from 0 to below 1, is ", options.label_smoothing));
  }
  check_not_negative("z_loss", options.z_loss, problems);
}

ops::LogitTerm make_term(const CrossEntropyOptions& options) {
  ops::LogitTerm term{ops::LogitTermKind::kCrossEntropy, options.weight};
  term.label_smoothing = options.label_smoothing;
  term.z_loss = options.z_loss;
  return term;
}

template class LogitLoss<CrossEntropyOptions>;

}  // namespace distill::losses
