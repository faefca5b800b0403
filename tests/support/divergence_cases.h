#pragma once

#include <cmath>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sort.h>
#include <gtest/gtest.h>

#include <distill/ops/linear_divergence.h>

#include "support/divergence_oracle.h"
#include "support/tolerance.h"

/// Inputs of linear_divergence, and its comparison with the definition.
namespace distill::testing {

using ops::LinearDivergenceInput;
using ops::LogitTerm;
using ops::LogitTermKind;

/// Every kind with numbers away from its defaults, at temperature `t`.
inline std::vector<LogitTerm> every_divergence(double t = 2.0) {
  std::vector<LogitTerm> terms;
  for (const auto kind :
       {LogitTermKind::kForwardKl, LogitTermKind::kReverseKl, LogitTermKind::kJsd,
        LogitTermKind::kSkewForwardKl, LogitTermKind::kSkewReverseKl, LogitTermKind::kSymmetricKl,
        LogitTermKind::kTvd, LogitTermKind::kAdaptiveKl}) {
    LogitTerm term{kind, 0.8, t, true};
    term.beta = 0.3;
    term.forward_weight = 0.25;
    term.reverse_weight = 1.5;
    terms.push_back(term);
  }
  return terms;
}

inline LogitTerm cross_entropy_term(double weight = 1.0, double smoothing = 0, double z_loss = 0) {
  LogitTerm term{LogitTermKind::kCrossEntropy, weight};
  term.label_smoothing = smoothing;
  term.z_loss = z_loss;
  return term;
}

struct DivergenceShape {
  std::int64_t rows, vocabulary, width, teacher_vocabulary, teacher_width;
};
inline std::ostream& operator<<(std::ostream& out, const DivergenceShape& s) {
  return out << s.rows << "x" << s.vocabulary << "x" << s.width << " teacher "
             << s.teacher_vocabulary << "x" << s.teacher_width;
}

inline LinearDivergenceInput divergence_input(const DivergenceShape& s, at::ScalarType type,
                                              double spread = 1.0) {
  const auto random = [&](std::int64_t rows, std::int64_t columns, double scale) {
    return (at::randn({rows, columns}, at::kDouble) * scale).to(type);
  };
  LinearDivergenceInput input;
  input.student_hidden = random(s.rows, s.width, 1.0).requires_grad_();
  input.student_head = random(s.vocabulary, s.width, spread).requires_grad_();
  input.teacher = types::DenseHidden{random(s.rows, s.teacher_width, 1.0),
                                     random(s.teacher_vocabulary, s.teacher_width, spread),
                                     {}};
  input.labels = at::randint(std::min(s.vocabulary, s.teacher_vocabulary), {s.rows}, at::kLong);
  return input;
}

/// The likeliest `k` ids of random logits [rows, vocabulary] at `temperature`.
inline types::TopKLogProbs top_k_signal(const at::Tensor& logits, std::int64_t k,
                                        double temperature = 1.0) {
  const at::Tensor log_p = at::log_softmax(logits.to(at::kDouble) / temperature, 1);
  const at::Tensor ids =
      std::get<0>(at::sort(std::get<1>(at::sort(log_p, 1, true)).narrow(1, 0, k), 1));
  return {ids.contiguous(), log_p.gather(1, ids), logits.size(1), temperature};
}

/// Values and both gradients of `divergence(input, terms)` against the definition. `slack` widens
/// the tolerance where the problem itself amplifies the rounding of fp32 logits.
template <class Divergence>
void expect_divergence_oracle(const LinearDivergenceInput& input, std::span<const LogitTerm> terms,
                              double slack, Divergence divergence) {
  const auto tolerance = tolerance_of(input.student_head.scalar_type());
  const auto expected = divergence_oracle(input, terms);
  input.student_hidden.mutable_grad() = at::Tensor();
  input.student_head.mutable_grad() = at::Tensor();
  const ops::LinearDivergenceResult result = divergence(input, terms);
  const auto near = [&](double value, double wanted) {
    EXPECT_NEAR(value, wanted, slack * tolerance.value * std::max(1e-2, std::abs(wanted)));
  };
  near(result.total.item<double>(), expected.total);
  ASSERT_EQ(result.term_sums.size(), terms.size());
  for (std::size_t i = 0; i < terms.size(); ++i) {
    SCOPED_TRACE(name_of(terms[i].kind));
    near(result.term_sums[i].item<double>(), expected.term_sums[i]);
    EXPECT_FALSE(result.term_sums[i].requires_grad());
  }
  result.total.backward();
  const auto check = [&](const at::Tensor& x, const at::Tensor& wanted, const char* name) {
    ASSERT_TRUE(x.grad().defined());
    EXPECT_EQ(x.grad().scalar_type(), x.scalar_type());
    EXPECT_LE(relative_error(x.grad(), wanted), slack * tolerance.gradient) << name;
  };
  check(input.student_hidden, expected.hidden_grad, "gradient of the hidden states");
  check(input.student_head, expected.head_grad, "gradient of the head");
}

}  // namespace distill::testing
