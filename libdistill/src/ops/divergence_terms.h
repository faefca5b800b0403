#pragma once

#include <cstdint>

#include "ops/cpu/divergence_table.h"
#include "ops/linear_divergence_problem.h"

/// What a kind is to the kernels: its arguments, and what follows from its sums over a row.
namespace distill::ops::cpu {

/// The `index`-th term of the problem. `apart`: statistics leave the held ids out.
template <class T>
TermArgs<T> term_args(const DivergenceProblem& problem, std::int64_t index);

/// The term as it acts on the classes of a sparse teacher, given as log-probabilities.
TermArgs<double> class_term(const DivergenceProblem& problem, std::int64_t index);

/// True for kinds whose gradient needs sums over the row.
bool has_reductions(LogitTermKind kind);

/// Probability of the teacher that adaptive_kl calls the head.
inline constexpr double kHeadMass = 0.5;

/// What a term with reductions is worth in one row, and what its gradient reads.
struct Reduced {
  double value = 0;
  double params[kRowParams] = {};
};
Reduced reduced(const LogitTerm& term, const double (&sums)[kMostReductions]);

/// Of a mixture M: the share of P.
double teacher_share(const LogitTerm& term);

}  // namespace distill::ops::cpu
