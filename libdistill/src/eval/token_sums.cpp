#include "eval/token_sums.h"

#include <algorithm>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/max.h>
#include <ATen/ops/promote_types.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <distill/core/error.h>
#include <distill/ops/compare_logits.h>

namespace distill::eval {

namespace {

double total(const at::Tensor& values) {
  return at::sum(values, at::kDouble).item<double>();
}

/// log 0 as a number with which can be reckoned.
constexpr double kLogZero = -1e4;

/// [R, K + 1]: the listed ids' log-probabilities, and of all others together.
at::Tensor teacher_classes(const at::Tensor& log_probs, bool others) {
  const at::Tensor listed = at::logsumexp(log_probs, {1}, /*keepdim=*/true);
  at::Tensor rest = at::full_like(listed, kLogZero);
  if (others) rest = at::log(-at::expm1(listed.clamp_max(0)));
  const at::Tensor classes = at::cat({log_probs, rest}, 1).clamp_min(kLogZero);
  return at::log_softmax(classes, 1);
}

/// The same of all logits [R, V] and `ids` [R, K].
at::Tensor student_classes(const at::Tensor& logits, const at::Tensor& ids) {
  const at::Tensor all = at::logsumexp(logits, {1}, /*keepdim=*/true);
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  const at::Tensor rest = at::logsumexp(at::scatter(logits, 1, ids, kNone), {1}, true);
  return (at::cat({at::gather(logits, 1, ids), rest}, 1) - all).clamp_min(kLogZero);
}

}  // namespace

void add_nll(const at::Tensor& logits, const at::Tensor& labels, double& sum) {
  const at::Tensor of_label = at::gather(logits, 1, labels.unsqueeze(1)).squeeze(1);
  sum += total(at::logsumexp(logits, {1}) - of_label);
}

void add_comparison(const at::Tensor& teacher, const at::Tensor& student, const at::Tensor& labels,
                    TokenSums& sums) {
  const auto dtype = at::promote_types(teacher.scalar_type(), student.scalar_type());
  const ops::LogitComparison found =
      ops::compare_logits(teacher.to(dtype), student.to(dtype), labels);
  sums.teacher_nll += found.teacher_nll;
  sums.student_nll += found.student_nll;
  sums.kl += found.kl;
  sums.agreed += static_cast<double>(found.agreed);
  sums.full_rows += teacher.size(0);
  sums.agreement_rows += teacher.size(0);
}

void add_top_k_comparison(const types::TopKLogProbs& teacher, const at::Tensor& student,
                          TokenSums& sums) {
  const at::Tensor ids = teacher.ids.to(at::kLong);
  const auto largest = at::max(ids).item<std::int64_t>();
  if (largest >= student.size(1)) {
    fail<TeacherError>("the teacher names id ", largest, ", the student has ", student.size(1),
                       " ids; use a pair with one tokenizer");
  }
  const at::Tensor likeliest = at::argmax(teacher.log_probs, 1, /*keepdim=*/true);
  sums.agreed += total(at::eq(at::gather(ids, 1, likeliest).squeeze(1), at::argmax(student, 1)));
  sums.agreement_rows += ids.size(0);
  if (teacher.temperature != 1.0) return;
  const at::Tensor t =
      teacher_classes(teacher.log_probs.to(at::kDouble), ids.size(1) < teacher.vocabulary);
  const at::Tensor first = at::zeros({ids.size(0)}, ids.options());  // any label: only KL is used
  sums.top_k_kl += ops::compare_logits(t, student_classes(student.to(at::kDouble), ids), first).kl;
  sums.top_k_rows += ids.size(0);
}

}  // namespace distill::eval
