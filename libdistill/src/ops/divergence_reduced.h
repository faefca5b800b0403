#pragma once

#include "ops/cpu/divergence_table.h"

/// What follows from a term's sums over a row. Knows no tensors: kernels of every device use it.
namespace distill::ops::cpu {

/// Probability of the teacher that adaptive_kl calls the head.
inline constexpr double kHeadMass = 0.5;

/// What a term with reductions is worth in one row, and what its gradient reads.
struct Reduced {
  double value = 0;
  double params[kRowParams] = {};
};

/// What `reduced` must know of a term.
struct ReductionRule {
  TermKind kind = TermKind::kForwardKl;
  bool adaptive = false;  ///< of kBlendedKl: the weights follow from the sums
  double beta = 0;
  double forward_weight = 0;
  double reverse_weight = 0;
};

DISTILL_INLINE Reduced reduced(const ReductionRule& rule, const double (&sums)[kMostReductions]) {
  switch (rule.kind) {
    case TermKind::kReverseKl:
      return {sums[0], {sums[0]}};
    case TermKind::kJsd:
      return {rule.beta * sums[1] + (1.0 - rule.beta) * sums[0], {sums[0]}};
    case TermKind::kSkewForwardKl:
    case TermKind::kSkewReverseKl:
    case TermKind::kTotalVariation:
      return {sums[1], {sums[0]}};
    case TermKind::kBlendedKl: {
      if (!rule.adaptive) {
        return {rule.forward_weight * sums[1] + rule.reverse_weight * sums[0],
                {sums[0], rule.forward_weight, rule.reverse_weight}};
      }
      const double gap = sums[2] + sums[3];
      const double forward = gap > 0 ? sums[2] / gap : 0.5;
      return {forward * sums[1] + (1.0 - forward) * sums[0], {sums[0], forward, 1.0 - forward}};
    }
    case TermKind::kForwardKl:
    case TermKind::kCrossEntropy:
    case TermKind::kSmoothedCrossEntropy:
    case TermKind::kSharedSlope:
      break;
  }
  return {};
}

}  // namespace distill::ops::cpu
