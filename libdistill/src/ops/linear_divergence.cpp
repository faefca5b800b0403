#include <distill/ops/linear_divergence.h>

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/scalar_tensor.h>

#include "ops/linear_divergence_autograd.h"
#include "ops/linear_divergence_checks.h"
#include "ops/linear_divergence_problem.h"

namespace distill::ops {

std::string_view name_of(LogitTermKind kind) {
  return choice_names(kind)[static_cast<std::size_t>(kind)];
}

bool needs_teacher(LogitTermKind kind) {
  return kind != LogitTermKind::kCrossEntropy;
}

double value_factor(const LogitTerm& term) {
  const bool scaled = needs_teacher(term.kind) && term.scale_by_t2;
  return scaled ? term.temperature * term.temperature : 1.0;
}

at::Tensor take_rows(const DivergenceProblem& problem, const at::Tensor& x, std::int64_t begin,
                     std::int64_t count) {
  if (!problem.rows.defined()) return x.narrow(0, begin, count);
  return at::index_select(x, 0, problem.rows.narrow(0, begin, count));
}

namespace {

/// Of no row. An undefined head gradient stands for zeros.
DivergenceSums no_sums(const DivergenceProblem& problem) {
  const at::Tensor& head = problem.student.head;
  DivergenceSums sums;
  sums.values.assign(problem.terms.size(), 0.0);
  if (problem.needs_hidden_grad) {
    const auto type = head.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    sums.hidden_grad = at::empty({0, head.size(1)}, head.options().dtype(type));
  }
  return sums;
}

}  // namespace

DivergenceSums form_sums(const DivergenceProblem& problem) {
  if (problem.device().is_cuda()) return linear_divergence_cuda(problem);
  if (can_use_brgemm(problem)) return linear_divergence_brgemm_cpu(problem);
  return linear_divergence_dense_cpu(problem);
}

LinearDivergenceResult linear_divergence_by(DivergenceBody body, const LinearDivergenceInput& input,
                                            std::span<const LogitTerm> terms) {
  DivergenceProblem problem = checked_problem(input, terms);
  Workspace own;
  if (problem.workspace == nullptr) problem.workspace = &own;
  const DivergenceSums sums = [&] {
    const WithoutAutograd guard;
    return problem.num_rows == 0 ? no_sums(problem) : body(problem);
  }();
  const auto type = input.student_head.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto options = input.student_head.options().dtype(type);
  LinearDivergenceResult result;
  result.count = problem.num_rows;
  double total = 0;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const double value = sums.values[i] * value_factor(terms[i]);
    total += terms[i].weight * value;
    result.term_sums.push_back(at::scalar_tensor(value, options));
  }
  result.total = with_gradients(total, input, problem, sums);
  return result;
}

LinearDivergenceResult linear_divergence(const LinearDivergenceInput& input,
                                         std::span<const LogitTerm> terms) {
  return linear_divergence_by(&form_sums, input, terms);
}

}  // namespace distill::ops
