#pragma once

#include <span>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <distill/ops/linear_divergence.h>

/// Every loss as its definition reads, on whole float64 logits; gradients come from autograd.
namespace distill::testing {

inline at::Tensor oracle_forward_kl(const at::Tensor& student, const at::Tensor& teacher,
                                    double t) {
  const at::Tensor log_s = at::log_softmax(student / t, 1);
  const at::Tensor log_t = at::log_softmax(teacher / t, 1);
  const at::Tensor p_t = log_t.exp();
  return at::where(p_t > 0, p_t * (log_t - log_s), at::zeros_like(p_t)).sum();
}

inline at::Tensor oracle_cross_entropy(const at::Tensor& student, const at::Tensor& labels) {
  return -at::log_softmax(student, 1).gather(1, labels.unsqueeze(1)).sum();
}

inline at::Tensor oracle_logits(const at::Tensor& hidden, const at::Tensor& head,
                                const types::LogitTransform& transform) {
  const at::Tensor x = at::mm(hidden, head.t()) * transform.scale;
  return transform.softcap > 0 ? transform.softcap * at::tanh(x / transform.softcap) : x;
}

struct OracleResult {
  double total = 0;
  std::vector<double> term_sums;
  at::Tensor hidden_grad;  ///< float64 [N, Hs]
  at::Tensor head_grad;    ///< float64 [V, Hs]
};

inline OracleResult divergence_oracle(const ops::LinearDivergenceInput& input,
                                      std::span<const ops::LogitTerm> terms) {
  const auto leaf = [](const at::Tensor& x) {
    return x.detach().to(at::kDouble).clone().requires_grad_();
  };
  const at::Tensor hidden = leaf(input.student_hidden);
  const at::Tensor head = leaf(input.student_head);
  const auto rows = [&](const at::Tensor& x) {
    return input.valid.defined() ? x.index_select(0, input.valid.nonzero().select(1, 0)) : x;
  };
  at::Tensor student = oracle_logits(rows(hidden), head, input.student_transform);
  at::Tensor teacher;
  if (const auto* dense = std::get_if<types::DenseHidden>(&input.teacher)) {
    teacher = oracle_logits(rows(dense->hidden.to(at::kDouble)), dense->head.to(at::kDouble),
                            dense->transform);
  } else if (const auto* logits = std::get_if<types::DenseLogits>(&input.teacher)) {
    teacher = rows(logits->logits.to(at::kDouble));
  }
  bool any_teacher = false;
  for (const auto& term : terms) any_teacher |= term.kind == ops::LogitTermKind::kForwardKl;
  if (any_teacher) {
    const auto shared = std::min(student.size(1), teacher.size(1));
    student = student.narrow(1, 0, shared);
    teacher = teacher.narrow(1, 0, shared);
  }

  OracleResult result;
  at::Tensor total = (hidden * 0).sum() + (head * 0).sum();
  total = at::where(total == total, total, at::zeros_like(total));  // masked rows may hold NaN
  for (const auto& term : terms) {
    const bool kl = term.kind == ops::LogitTermKind::kForwardKl;
    const double factor = kl && term.scale_by_t2 ? term.temperature * term.temperature : 1.0;
    const at::Tensor value = factor * (kl ? oracle_forward_kl(student, teacher, term.temperature)
                                          : oracle_cross_entropy(student, rows(input.labels)));
    result.term_sums.push_back(value.item<double>());
    total = total + term.weight * value;
  }
  result.total = total.item<double>();
  total.backward();
  result.hidden_grad = hidden.grad();
  result.head_grad = head.grad();
  return result;
}

}  // namespace distill::testing
