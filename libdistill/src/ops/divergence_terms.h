#pragma once

#include <cstdint>

#include "ops/cpu/divergence_table.h"
#include "ops/divergence_reduced.h"
#include "ops/linear_divergence_problem.h"

/// What a kind is to the kernels: its arguments, and what follows from its sums over a row.
namespace distill::ops::cpu {

/// What computes the term from a dense teacher, or from classes.
TermKind kernel_kind(const LogitTerm& term);

/// The `index`-th term of the problem. `apart`: statistics leave the held ids out.
template <class T>
TermArgs<T> term_args(const DivergenceProblem& problem, std::int64_t index);

/// The term as it acts on the classes of a sparse teacher, given as log-probabilities.
TermArgs<double> class_term(const DivergenceProblem& problem, std::int64_t index);

/// True for kinds whose gradient needs sums over the row.
bool has_reductions(LogitTermKind kind);

/// What the term is once its sums over a row are known.
ReductionRule reduction_rule(const LogitTerm& term);
Reduced reduced(const LogitTerm& term, const double (&sums)[kMostReductions]);

/// Of a mixture M: the share of P.
double teacher_share(const LogitTerm& term);

}  // namespace distill::ops::cpu
