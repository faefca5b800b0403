#pragma once

#include "losses/logit_loss.inl"
#include "losses/options.h"

/// What the options of all divergences between teacher and student have.
namespace distill::losses {

template <class Options>
void describe_divergence(core::FieldVisitor& visit, Options& options) {
  visit("weight", options.weight, "factor of this loss in the total");
  visit("temperature", options.temperature, "divides the logits of both models");
  visit("scale_by_t2", options.scale_by_t2, "multiply value and gradient by temperature^2");
}

template <class Options>
void validate_divergence(const Options& options, core::Problems& problems) {
  check_not_negative("weight", options.weight, problems);
  if (!std::isfinite(options.temperature) || options.temperature <= 0) {
    problems.add("temperature", core::concat("must be above 0, is ", options.temperature));
  }
}

/// A mixture's share; `instead` says what its ends are called.
inline void check_share(const char* field, double share, const char* instead,
                        core::Problems& problems) {
  if (share > 0 && share < 1) return;
  problems.add(field, core::concat("must be between 0 and 1, is ", share, "; ", instead));
}

template <class Options>
ops::LogitTerm divergence_term(ops::LogitTermKind kind, const Options& options) {
  return {kind, options.weight, options.temperature, options.scale_by_t2};
}

}  // namespace distill::losses
