#include "ops/sparse_classes.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/divergence_terms.h"
#include "ops/head_and_tail.h"

namespace distill::ops::cpu {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// log(1 - e^x), x <= 0, without cancelling at either end (Maechler 2012, "Accurately computing
/// log(1 - exp(-|a|))").
double log_one_minus_exp(double x) {
  if (x >= 0) return -kInfinity;
  return x > -std::log(2.0) ? std::log(-std::expm1(x)) : std::log1p(-std::exp(x));
}

void normalise(std::vector<double>& log_weights) {
  const double total =
      log_sum_exp(log_weights.data(), static_cast<std::int64_t>(log_weights.size()));
  for (double& x : log_weights) x = std::max(x - total, static_cast<double>(kNoLogit));
}

}  // namespace

double log_sum_exp(const double* x, std::int64_t n) {
  const double largest = n > 0 ? *std::max_element(x, x + n) : -kInfinity;
  if (largest == -kInfinity) return largest;
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i) total += std::exp(x[i] - largest);
  return largest + std::log(total);
}

std::vector<double> teacher_classes(const double* log_probs, std::int64_t count, double own,
                                    double temperature, std::int64_t num_others) {
  std::vector<double> classes(log_probs, log_probs + count);
  double others = num_others > 0
                      ? std::max(log_one_minus_exp(log_sum_exp(log_probs, count)), kLeastLogRest)
                      : -kInfinity;
  if (own != temperature) {
    const double ratio = own / temperature;
    const double spread = std::log(static_cast<double>(num_others));
    for (double& x : classes) x *= ratio;
    if (others > -kInfinity) others = spread + ratio * (others - spread);
  }
  classes.push_back(others);
  normalise(classes);
  return classes;
}

ClassLogProbs class_log_probs(const DivergenceProblem& problem, std::int64_t row,
                              double temperature, const std::vector<double>& listed,
                              double log_sum_of_others) {
  const SparseTeacher& teacher = problem.sparse;
  const std::int64_t count = teacher.count();
  ClassLogProbs classes;
  classes.student = listed;
  classes.student.push_back(log_sum_of_others);
  normalise(classes.student);
  classes.teacher = teacher_classes(teacher.log_probs.const_data_ptr<double>() + row * count, count,
                                    teacher.temperature, temperature, problem.vocabulary - count);
  return classes;
}

ClassSlopes slopes_of_classes(const LogitTerm& term, const TermArgs<double>& args,
                              const ClassLogProbs& classes) {
  const auto count = static_cast<std::int64_t>(classes.student.size());
  const double zero = 0;
  std::vector<double> student = classes.student;
  std::vector<double> teacher = classes.teacher;
  double params[kRowParams] = {};
  if (term.kind == LogitTermKind::kAdaptiveKl) {
    std::vector<double> likely = teacher;
    for (double& x : likely) x = std::exp(x);
    params[0] = std::log(least_of_head(likely, kHeadMass)) - 1e-12;
  }
  ReduceArgs<double> reduce;
  reduce.pair.student = {student.data(), count, count};
  reduce.pair.teacher = {teacher.data(), count, count};
  reduce.pair.student_stats = {&zero, &zero};
  reduce.pair.teacher_stats = {&zero, &zero};
  reduce.pair.num_temperatures = 1;
  reduce.pair.terms = &args;
  reduce.pair.num_terms = 1;
  reduce.pair.row_params = params;
  ClassSlopes result;
  if (has_reductions(term.kind)) {
    double sums[kMostReductions] = {};
    reduce.sums = sums;
    typed_divergence_kernels<double>().reduce(reduce, 1);
    const Reduced of_row = reduced(term, sums);
    result.value = of_row.value;
    std::copy(std::begin(of_row.params), std::end(of_row.params), params);
  }
  std::vector<double> scratch(static_cast<std::size_t>(count));
  GradientArgs<double> gradient;
  gradient.pair = reduce.pair;
  gradient.scratch = scratch.data();
  gradient.values = &result.value;
  typed_divergence_kernels<double>().gradient(gradient, 1);
  result.slopes = std::move(student);
  return result;
}

}  // namespace distill::ops::cpu
