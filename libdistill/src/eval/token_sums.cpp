#include "eval/token_sums.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>

namespace distill::eval {

namespace {

double total(const at::Tensor& values) {
  return at::sum(values, at::kDouble).item<double>();
}

/// KL(teacher || student) summed over everything, as sum of p_t (exp(-d) - 1 + d), d = log p_t -
/// log p_s. No term is negative, and errors of the two normalisers cancel to first order, so small
/// divergences keep their digits. Where the student is far above the teacher exp(-d) could
/// overflow, and p_t exp(-d) is p_s anyway.
double sum_kl(const at::Tensor& log_teacher, const at::Tensor& log_student) {
  // Below -1e4 p_t is 0: the clamp only keeps 0 * -inf away.
  const at::Tensor d = (log_teacher - log_student).clamp_min(-1e4);
  const at::Tensor p = at::exp(log_teacher);
  const at::Tensor near = p * (at::expm1(-d) + d);
  const at::Tensor far = at::exp(log_student) - p + p * d;
  return total(at::where(d > -1, near, far));
}

}  // namespace

void add_nll(const at::Tensor& logits, const at::Tensor& labels, double& sum) {
  const at::Tensor of_label = at::gather(logits, 1, labels.unsqueeze(1)).squeeze(1);
  sum += total(at::logsumexp(logits, {1}) - of_label);
}

void add_comparison(const at::Tensor& teacher, const at::Tensor& student, TokenSums& sums) {
  const auto shared = std::min(teacher.size(1), student.size(1));
  const at::Tensor t = teacher.narrow(1, 0, shared);
  const at::Tensor s = student.narrow(1, 0, shared);
  sums.kl += sum_kl(at::log_softmax(t, 1), at::log_softmax(s, 1));
  sums.agreed += total(at::eq(at::argmax(t, 1), at::argmax(s, 1)));
}

}  // namespace distill::eval
