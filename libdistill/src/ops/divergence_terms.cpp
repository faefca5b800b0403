#include "ops/divergence_terms.h"

namespace distill::ops::cpu {

TermKind kernel_kind(const LogitTerm& term) {
  switch (term.kind) {
    case LogitTermKind::kForwardKl:
      return TermKind::kForwardKl;
    case LogitTermKind::kReverseKl:
      return TermKind::kReverseKl;
    case LogitTermKind::kJsd:
      return TermKind::kJsd;
    case LogitTermKind::kSkewForwardKl:
      return TermKind::kSkewForwardKl;
    case LogitTermKind::kSkewReverseKl:
      return TermKind::kSkewReverseKl;
    case LogitTermKind::kSymmetricKl:
    case LogitTermKind::kAdaptiveKl:
      return TermKind::kBlendedKl;
    case LogitTermKind::kTvd:
      return TermKind::kTotalVariation;
    case LogitTermKind::kCrossEntropy:
      return term.label_smoothing > 0 ? TermKind::kSmoothedCrossEntropy : TermKind::kCrossEntropy;
  }
  return TermKind::kForwardKl;
}

double teacher_share(const LogitTerm& term) {
  return term.kind == LogitTermKind::kSkewReverseKl ? 1.0 - term.beta : term.beta;
}

bool has_reductions(LogitTermKind kind) {
  return kind != LogitTermKind::kForwardKl && kind != LogitTermKind::kCrossEntropy;
}

template <class T>
TermArgs<T> term_args(const DivergenceProblem& problem, std::int64_t index) {
  const LogitTerm& term = problem.terms[static_cast<std::size_t>(index)];
  const std::int64_t t = problem.temperature_of[static_cast<std::size_t>(index)];
  const double inverse = 1.0 / problem.temperatures[static_cast<std::size_t>(t)];
  TermArgs<T> args;
  const bool shared = problem.sparse.defined() && needs_teacher(term.kind);
  args.kind = shared ? TermKind::kSharedSlope : kernel_kind(term);
  args.apart_from_held = shared && !problem.sparse.is_sampled();
  args.temperature = t;
  args.inverse_temperature = static_cast<T>(inverse);
  args.coefficient = static_cast<T>(term.weight * value_factor(term) * inverse);
  args.teacher_share = static_cast<T>(teacher_share(term));
  args.smoothing = static_cast<T>(term.label_smoothing / static_cast<double>(problem.vocabulary));
  args.label_weight = static_cast<T>(1.0 - term.label_smoothing);
  return args;
}

TermArgs<double> class_term(const DivergenceProblem& problem, std::int64_t index) {
  const LogitTerm& term = problem.terms[static_cast<std::size_t>(index)];
  TermArgs<double> args;
  args.kind = kernel_kind(term);
  args.teacher_share = teacher_share(term);
  return args;
}

ReductionRule reduction_rule(const LogitTerm& term) {
  return {kernel_kind(term), term.kind == LogitTermKind::kAdaptiveKl, term.beta,
          term.forward_weight, term.reverse_weight};
}

Reduced reduced(const LogitTerm& term, const double (&sums)[kMostReductions]) {
  return reduced(reduction_rule(term), sums);
}

template TermArgs<float> term_args(const DivergenceProblem&, std::int64_t);
template TermArgs<double> term_args(const DivergenceProblem&, std::int64_t);

}  // namespace distill::ops::cpu
