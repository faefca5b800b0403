#pragma once

#include <cstdint>
#include <vector>

#include "ops/cpu/divergence_table.h"
#include "ops/linear_divergence_problem.h"

/// A teacher known at K ids, and the student beside it, as distributions over few classes.
namespace distill::ops::cpu {

/// log(e^a + e^b + ...); -infinity for nothing.
double log_sum_exp(const double* x, std::int64_t n);

/// Log-probabilities over K + 1 classes, the last one all ids that are not listed; kNoLogit stands
/// for log 0.
struct ClassLogProbs {
  std::vector<double> student;
  std::vector<double> teacher;
};

/// One row. `listed` [K]: the student's logits / temperature at the ids; `log_sum_of_others`: log
/// of the sum of exp(logit / temperature) over all other ids, -infinity for none.
ClassLogProbs class_log_probs(const DivergenceProblem& problem, std::int64_t row,
                              double temperature, const std::vector<double>& listed,
                              double log_sum_of_others);

/// A term's value over few classes and its derivatives in the student's logits of them, by the same
/// kernels as for all ids, in double.
struct ClassSlopes {
  double value = 0;
  std::vector<double> slopes;
};
ClassSlopes slopes_of_classes(const LogitTerm& term, const TermArgs<double>& args,
                              const ClassLogProbs& classes);

/// The teacher's part of it: `log_probs` [K] were normalised at `own` temperature, the result is at
/// `temperature`. Where these differ, what is not listed is taken to be spread evenly over
/// `num_others` ids.
std::vector<double> teacher_classes(const double* log_probs, std::int64_t count, double own,
                                    double temperature, std::int64_t num_others);

}  // namespace distill::ops::cpu
