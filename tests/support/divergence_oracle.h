#pragma once

#include <span>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log1p.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <distill/ops/linear_divergence.h>

/// Every loss as its definition reads, on whole float64 logits; gradients come from autograd.
namespace distill::testing {

/// KL(A || B) of each row, from log-probabilities; 0 log 0 is 0.
inline at::Tensor oracle_kl(const at::Tensor& log_a, const at::Tensor& log_b) {
  const at::Tensor a = log_a.exp();
  return at::where(a > 0, a * (log_a - log_b), at::zeros_like(a)).sum(1);
}

inline at::Tensor oracle_mixture(const at::Tensor& log_a, double share, const at::Tensor& log_b) {
  return at::logaddexp(log_a + std::log(share), log_b + std::log(1 - share));
}

/// Adaptive KL's weight of forward KL, for each row.
inline at::Tensor oracle_head_share(const at::Tensor& log_p, const at::Tensor& log_s) {
  const at::Tensor p = log_p.exp().detach();
  const at::Tensor gap = (p - log_s.exp().detach()).abs();
  const auto sorted = std::get<0>(at::sort(p, 1, /*descending=*/true));
  const at::Tensor before = sorted.cumsum(1) - sorted;  // mass of what is likelier
  const at::Tensor least = at::where(before < 0.5, sorted, at::ones_like(sorted)).amin(1, true);
  const at::Tensor head = at::where(p >= least - 1e-15, gap, at::zeros_like(gap)).sum(1);
  const at::Tensor all = gap.sum(1);
  return at::where(all > 0, head / all, at::full({}, 0.5, all.options()));
}

/// A divergence of each row, from log-probabilities of teacher and student.
inline at::Tensor oracle_divergence(const ops::LogitTerm& term, const at::Tensor& log_p,
                                    const at::Tensor& log_s) {
  using Kind = ops::LogitTermKind;
  const double b = term.beta;
  switch (term.kind) {
    case Kind::kForwardKl:
      return oracle_kl(log_p, log_s);
    case Kind::kReverseKl:
      return oracle_kl(log_s, log_p);
    case Kind::kJsd: {
      const at::Tensor log_m = oracle_mixture(log_p, b, log_s);
      return b * oracle_kl(log_p, log_m) + (1 - b) * oracle_kl(log_s, log_m);
    }
    case Kind::kSkewForwardKl:
      return oracle_kl(log_p, oracle_mixture(log_p, b, log_s));
    case Kind::kSkewReverseKl:
      return oracle_kl(log_s, oracle_mixture(log_s, b, log_p));
    case Kind::kSymmetricKl:
      return term.forward_weight * oracle_kl(log_p, log_s) +
             term.reverse_weight * oracle_kl(log_s, log_p);
    case Kind::kTvd:
      return (log_p.exp() - log_s.exp()).abs().sum(1) / 2;
    case Kind::kAdaptiveKl: {
      const at::Tensor head = oracle_head_share(log_p, log_s);
      return head * oracle_kl(log_p, log_s) + (1 - head) * oracle_kl(log_s, log_p);
    }
    case Kind::kCrossEntropy:
      break;
  }
  return {};
}

inline at::Tensor oracle_cross_entropy(const ops::LogitTerm& term, const at::Tensor& logits,
                                       const at::Tensor& labels) {
  const at::Tensor log_s = at::log_softmax(logits, 1);
  const double e = term.label_smoothing;
  const at::Tensor log_z = at::logsumexp(logits, {1});
  return -(1 - e) * log_s.gather(1, labels.unsqueeze(1)).squeeze(1) - e * log_s.mean(1) +
         term.z_loss * log_z * log_z;
}

inline at::Tensor oracle_logits(const at::Tensor& hidden, const at::Tensor& head,
                                const types::LogitTransform& transform) {
  const at::Tensor x = at::mm(hidden, head.t()) * transform.scale;
  return transform.softcap > 0 ? transform.softcap * at::tanh(x / transform.softcap) : x;
}

/// log-probabilities [n, K + 1]: the listed ids, and all others together.
inline at::Tensor oracle_student_classes(const at::Tensor& log_s, const at::Tensor& ids) {
  const double none = -std::numeric_limits<double>::infinity();
  const at::Tensor others = log_s.scatter(1, ids, none);
  return at::cat({log_s.gather(1, ids), at::logsumexp(others, {1}, true)}, 1);
}

/// The same of the teacher at temperature `t`, what is not listed spread evenly.
inline at::Tensor oracle_teacher_classes(const types::TopKLogProbs& signal, double t,
                                         std::int64_t vocabulary, const at::Tensor& log_probs) {
  const double ratio = signal.temperature / t;
  const auto others = static_cast<double>(vocabulary - log_probs.size(1));
  const at::Tensor tail = at::log1p(-log_probs.exp().sum(1, true).clamp_max(1.0));
  const at::Tensor spread = std::log(others) + ratio * (tail - std::log(others));
  return at::log_softmax(at::cat({log_probs * ratio, others > 0 ? spread : tail}, 1), 1);
}

struct OracleResult {
  double total = 0;
  std::vector<double> term_sums;
  at::Tensor hidden_grad;  ///< float64 [N, Hs]
  at::Tensor head_grad;    ///< float64 [V, Hs]
};

/// Rows of the teacher's answer that count, in float64.
struct OracleTeacher {
  at::Tensor logits;  // of a dense one
  at::Tensor ids;
  at::Tensor log_probs;
  at::Tensor weights;
  std::int64_t vocabulary = 0;
};

inline OracleTeacher oracle_teacher(const ops::LinearDivergenceInput& input, const auto& rows) {
  OracleTeacher teacher;
  const auto wide = [&](const at::Tensor& x) { return rows(x.to(at::kDouble)); };
  if (const auto* dense = std::get_if<types::DenseHidden>(&input.teacher)) {
    teacher.logits =
        oracle_logits(wide(dense->hidden), dense->head.to(at::kDouble), dense->transform);
  } else if (const auto* logits = std::get_if<types::DenseLogits>(&input.teacher)) {
    teacher.logits = wide(logits->logits);
  } else if (const auto* top_k = std::get_if<types::TopKLogProbs>(&input.teacher)) {
    teacher.ids = rows(top_k->ids.to(at::kLong));
    teacher.log_probs = wide(top_k->log_probs);
    teacher.vocabulary = top_k->vocabulary;
  } else if (const auto* sampled = std::get_if<types::SampledLogProbs>(&input.teacher)) {
    teacher.ids = rows(sampled->ids.to(at::kLong));
    teacher.log_probs = wide(sampled->log_probs);
    teacher.weights = wide(sampled->weights);
    teacher.vocabulary = sampled->vocabulary;
  }
  if (teacher.logits.defined()) teacher.vocabulary = teacher.logits.size(1);
  return teacher;
}

/// Of each row, without T^2.
inline at::Tensor oracle_term(const ops::LogitTerm& term, const at::Tensor& student,
                              const OracleTeacher& teacher, const ops::LinearDivergenceInput& input,
                              const at::Tensor& labels) {
  if (term.kind == ops::LogitTermKind::kCrossEntropy) {
    return oracle_cross_entropy(term, student, labels);
  }
  const at::Tensor log_s = at::log_softmax(student / term.temperature, 1);
  if (teacher.logits.defined()) {
    const at::Tensor shared = teacher.logits.narrow(1, 0, student.size(1));
    return oracle_divergence(term, at::log_softmax(shared / term.temperature, 1), log_s);
  }
  if (teacher.weights.defined()) {
    return (teacher.weights * (teacher.log_probs - log_s.gather(1, teacher.ids))).sum(1);
  }
  const auto& signal = std::get<types::TopKLogProbs>(input.teacher);
  at::Tensor log_p =
      oracle_teacher_classes(signal, term.temperature, student.size(1), teacher.log_probs);
  at::Tensor log_classes = oracle_student_classes(log_s, teacher.ids);
  if (teacher.ids.size(1) == student.size(1)) {  // no others: the last class is empty
    log_p = log_p.narrow(1, 0, student.size(1));
    log_classes = log_classes.narrow(1, 0, student.size(1));
  }
  return oracle_divergence(term, log_p, log_classes);
}

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
  OracleTeacher teacher;
  for (const auto& term : terms) {
    if (term.kind == ops::LogitTermKind::kCrossEntropy || teacher.vocabulary > 0) continue;
    teacher = oracle_teacher(input, rows);
    student = student.narrow(1, 0, std::min(student.size(1), teacher.vocabulary));
  }
  if (input.vocabulary > 0) {
    student = student.narrow(1, 0, std::min(student.size(1), input.vocabulary));
  }
  at::Tensor labels;
  if (input.labels.defined()) labels = rows(input.labels);

  OracleResult result;
  at::Tensor total = (hidden * 0).sum() + (head * 0).sum();
  total = at::where(total == total, total, at::zeros_like(total));  // masked rows may hold NaN
  for (const auto& term : terms) {
    at::Tensor of_rows = oracle_term(term, student, teacher, input, labels);
    if (input.weights.defined()) of_rows = of_rows * rows(input.weights.to(at::kDouble));
    const bool scaled = term.kind != ops::LogitTermKind::kCrossEntropy && term.scale_by_t2;
    const at::Tensor value = of_rows.sum() * (scaled ? term.temperature * term.temperature : 1.0);
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
