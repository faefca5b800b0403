#include <distill/ops/linear_divergence.h>

#include <cmath>
#include <limits>
#include <random>

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/multinomial.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <ATen/ops/linspace.h>

#include "ops/sparse_classes.h"
#include "support/divergence_bodies.h"
#include "support/torch_error.h"

namespace distill::ops {
namespace {

using testing::cross_entropy_term;
using testing::divergence_input;
using testing::divergence_oracle;
using testing::every_divergence;
using testing::relative_error;
using testing::tolerance_of;
using testing::top_k_signal;
using testing::torch_error_of;

/// Draws of row's distribution, merged and in order, weighted to be unbiased. Rows list as many
/// ids: those that were not drawn have weight 0.
types::SampledLogProbs sampled_signal(const at::Tensor& logits, std::int64_t draws) {
  const at::Tensor log_p = at::log_softmax(logits.to(at::kDouble), 1);
  const at::Tensor drawn = at::multinomial(log_p.exp(), draws, true);
  const at::Tensor weights = at::zeros_like(log_p).scatter_add_(
      1, drawn, at::full(drawn.sizes(), 1.0 / static_cast<double>(draws), at::kDouble));
  const at::Tensor ids = at::arange(logits.size(1), at::kLong).repeat({logits.size(0), 1});
  return {ids, weights, log_p, logits.size(1), 1.0};
}

class SparseTeacher : public testing::DivergenceCase {};

TEST_P(SparseTeacher, TopKIsItsDefinition) {
  std::mt19937 random(4);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  for (int i = 0; i < 30; ++i) {
    const std::int64_t vocabulary = pick(2, 500);
    const std::int64_t rows = pick(1, 60);
    auto input = divergence_input({rows, vocabulary, pick(1, 30), vocabulary, 4}, type());
    const double own = pick(0, 1) != 0 ? 1.0 : 2.0;
    const std::int64_t k = pick(1, static_cast<int>(vocabulary) - 1);
    input.teacher = top_k_signal(at::randn({rows, vocabulary}), k, own);
    input.student_transform = {pick(0, 1) != 0 ? 0.7 : 1.0, pick(0, 1) != 0 ? 2.5 : 0.0};
    input.valid = at::randint(2, {rows}, at::kLong).to(at::kBool);
    input.workspace_bytes = pick(1, 300000);
    if (pick(0, 1) != 0) input.weights = at::rand({rows}, at::kDouble);
    auto terms = every_divergence(2.0);
    terms[3].temperature = 1.0;
    if (pick(0, 1) != 0) terms.push_back(cross_entropy_term(0.5, 0.1, 0.01));
    SCOPED_TRACE(::testing::Message() << rows << "x" << vocabulary << " k " << k << " own " << own);
    expect_oracle(input, terms, 4.0);
  }
}

TEST_P(SparseTeacher, AllIdsEqualTheDenseTeacher) {
  auto input = divergence_input({30, 140, 12, 140, 8}, type());
  const at::Tensor logits = at::randn({30, 140});
  for (const LogitTerm& term : every_divergence(2.0)) {
    SCOPED_TRACE(name_of(term.kind));
    input.teacher = types::DenseLogits{logits};
    const auto dense = divergence(input, std::vector{term});
    dense.total.backward();
    const at::Tensor hidden = input.student_hidden.grad();
    const at::Tensor head = input.student_head.grad();
    for (const double own : {2.0, 1.0}) {
      input.student_hidden.mutable_grad() = at::Tensor();
      input.student_head.mutable_grad() = at::Tensor();
      input.teacher = top_k_signal(logits, 140, own);
      const auto sparse = divergence(input, std::vector{term});
      sparse.total.backward();
      EXPECT_LE(relative_error(sparse.total, dense.total), 2e-5);
      EXPECT_LE(relative_error(input.student_hidden.grad(), hidden),
                tolerance_of(type()).gradient + 2e-5);
      EXPECT_LE(relative_error(input.student_head.grad(), head),
                tolerance_of(type()).gradient + 2e-5);
    }
    input.student_hidden.mutable_grad() = at::Tensor();
    input.student_head.mutable_grad() = at::Tensor();
  }
}

TEST_P(SparseTeacher, OfTheStudentItselfIsZero) {
  auto input = divergence_input({20, 150, 12, 150, 8}, type());
  const at::Tensor logits = testing::oracle_logits(input.student_hidden.detach().to(at::kDouble),
                                                   input.student_head.detach().to(at::kDouble), {});
  input.teacher = top_k_signal(logits, 10, 1.0);
  for (const LogitTerm& term : every_divergence(1.0)) {
    SCOPED_TRACE(name_of(term.kind));
    input.student_head.mutable_grad() = at::Tensor();
    const auto result = divergence(input, std::vector{term});
    EXPECT_NEAR(result.total.item<double>(), 0.0, 1e-5);
    if (term.kind == LogitTermKind::kTvd) continue;  // its gradient jumps there
    result.total.backward();
    EXPECT_LE(input.student_head.grad().abs().max().item<double>(), 1e-4);
  }
}

TEST_P(SparseTeacher, SampledIsItsDefinition) {
  auto input = divergence_input({25, 300, 12, 300, 8}, type());
  input.teacher = sampled_signal(at::randn({25, 300}), 12);
  input.valid = at::randint(2, {25}, at::kLong).to(at::kBool);
  input.student_transform = {1.2, 3.0};
  expect_oracle(input,
                std::vector{LogitTerm{LogitTermKind::kForwardKl, 0.7}, cross_entropy_term(0.5)});
}

INSTANTIATE_TEST_SUITE_P(All, SparseTeacher, testing::every_case(), testing::case_name);

TEST(SampledTeacher, IsUnbiased) {
  at::manual_seed(2);
  auto input = divergence_input({3, 20, 6, 20, 6}, at::kDouble);
  const at::Tensor logits = at::randn({3, 20}, at::kDouble) * 2;
  const std::vector<LogitTerm> terms{LogitTerm{LogitTermKind::kForwardKl}};
  input.teacher = types::DenseLogits{logits};
  const auto dense = divergence_oracle(input, terms);
  double value = 0;
  const int rounds = 2000;
  for (int i = 0; i < rounds; ++i) {
    input.teacher = sampled_signal(logits, 10);
    const auto result = linear_divergence(input, terms);
    value += result.total.item<double>() / rounds;
    (result.total / rounds).backward();
  }
  EXPECT_NEAR(value, dense.total, 0.02 * dense.total);
  EXPECT_LE(relative_error(input.student_head.grad(), dense.head_grad), 0.03);
}

TEST(TopKTeacher, ConfidentStudentKeepsItsTail) {
  // The student's tail holds 2e-9 of its probability, far below what 1 - sum could show in fp32.
  LinearDivergenceInput input;
  input.student_hidden = at::ones({1, 1}).requires_grad_();
  input.student_head = at::tensor({20.0F, 0.0F}).unsqueeze(1).requires_grad_();
  input.teacher = types::TopKLogProbs{at::zeros({1, 1}, at::kLong),
                                      at::full({1, 1}, std::log(0.999), at::kDouble), 2, 1.0};
  const auto result = linear_divergence(input, std::vector{LogitTerm{LogitTermKind::kForwardKl}});
  const double tail = std::exp(-20.0) / (1 + std::exp(-20.0));
  const double expected = 0.999 * std::log(0.999 / (1 - tail)) + 0.001 * std::log(0.001 / tail);
  EXPECT_NEAR(result.total.item<double>(), expected, 1e-6);
  result.total.backward();
  EXPECT_NEAR(input.student_head.grad()[1][0].item<double>(), tail - 0.001, 1e-8);
}

// Servers round: what a sure teacher lists then sums to 1, though it does not list all ids.
TEST(TopKTeacher, OneThatListsAllProbabilityLeavesLossesSane) {
  const at::Tensor log_probs = at::full({1, 4}, -20.0, at::kDouble);
  log_probs[0][2] = 0.0;
  LinearDivergenceInput input;
  input.student_hidden = at::ones({1, 2}, at::kDouble).requires_grad_();
  input.student_head = at::linspace(-1, 1, 40, at::kDouble).view({20, 2}).requires_grad_();
  input.labels = at::zeros({1}, at::kLong);
  input.teacher = types::TopKLogProbs{at::arange(4).unsqueeze(0), log_probs, 20};
  for (const auto kind : {LogitTermKind::kForwardKl, LogitTermKind::kReverseKl}) {
    LogitTerm term;
    term.kind = kind;
    const auto result = linear_divergence(input, std::vector{term});
    EXPECT_LT(result.total.item<double>(), 100) << static_cast<int>(kind);
    EXPECT_GE(result.total.item<double>(), 0);
    result.total.backward();
    EXPECT_LT(input.student_hidden.grad().abs().max().item<double>(), 100);
  }
}

TEST(TopKTeacher, TailAtAnotherTemperatureIsSpreadEvenly) {
  const double log_probs[] = {std::log(0.5), std::log(0.25)};
  const auto same = cpu::teacher_classes(log_probs, 2, 1.0, 1.0, 10);
  EXPECT_NEAR(std::exp(same[2]), 0.25, 1e-12);
  const auto heated = cpu::teacher_classes(log_probs, 2, 1.0, 2.0, 10);
  const double weights[] = {std::sqrt(0.5), std::sqrt(0.25), 10 * std::sqrt(0.025)};
  const double total = weights[0] + weights[1] + weights[2];
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(std::exp(heated[static_cast<std::size_t>(i)]), weights[i] / total, 1e-12);
  }
}

TEST(TopKTeacher, RefusesWhatDoesNotFit) {
  const auto good = divergence_input({2, 10, 4, 10, 4}, at::kFloat);
  const auto expect_error = [&](const types::TeacherSignal& teacher, const char* text,
                                LogitTermKind kind = LogitTermKind::kForwardKl, double t = 1.0) {
    auto input = good;
    input.teacher = teacher;
    const std::string message = torch_error_of([&] {
      linear_divergence(input, std::vector{LogitTerm{kind, 1.0, t}});
    });
    EXPECT_NE(message.find(text), std::string::npos) << message;
  };
  const at::Tensor two = at::full({2, 2}, std::log(0.3), at::kDouble);
  const auto ids = [](std::vector<std::int64_t> of) {
    return at::tensor(of, at::kLong).reshape({2, 2});
  };
  const at::Tensor fine = ids({1, 3, 0, 9});
  expect_error(types::TopKLogProbs{ids({3, 1, 0, 9}), two, 10},
               "`teacher.ids` must ascend in each row, holds 3 before 1 in row 0");
  expect_error(types::TopKLogProbs{ids({1, 3, 9, 9}), two, 10}, "holds 9 before 9 in row 1");
  expect_error(types::TopKLogProbs{ids({1, 3, 0, 10}), two, 11},
               "`teacher.ids` holds 10 in row 1, expected an id in [0, 10)");
  expect_error(types::TopKLogProbs{ids({-1, 3, 0, 9}), two, 10}, "`teacher.ids` holds -1 in row 0");
  expect_error(types::TopKLogProbs{fine, two + 0.7, 10},
               "`teacher.log_probs` of row 0 are probabilities that sum to 1.20825, expected at "
               "most 1");
  expect_error(types::TopKLogProbs{fine, two + 3, 10}, "expected a number that is 0 or below");
  expect_error(types::TopKLogProbs{fine, two * std::numeric_limits<double>::quiet_NaN(), 10},
               "`teacher.log_probs` holds nan in row 0");
  expect_error(types::TopKLogProbs{fine, two.narrow(1, 0, 1), 10},
               "`teacher.log_probs` must be fp32 or fp64 [2, 2], is Double [2, 1]");
  expect_error(types::TopKLogProbs{fine.to(at::kFloat), two, 10},
               "`teacher.ids` must be int64 or int32 [N, K] with K > 0, is Float [2, 2]");
  expect_error(types::TopKLogProbs{at::Tensor(), two, 10}, "K > 0, is missing");
  expect_error(types::TopKLogProbs{fine, two, 1}, "`teacher.ids` lists 2 ids of 1");
  expect_error(types::TopKLogProbs{fine, two, 0}, "`teacher.vocabulary` must be above 0, is 0");
  expect_error(types::TopKLogProbs{fine, two, 10, 0.0}, "`teacher.temperature` must be above 0");
  expect_error(types::TopKLogProbs{fine.narrow(0, 0, 1), two.narrow(0, 0, 1), 10},
               "`teacher` has 1 rows and `student_hidden` 2");
  const types::SampledLogProbs sampled{fine, at::ones({2, 2}) / 2, two, 10};
  expect_error(sampled, "reverse_kl is not linear in the teacher's probabilities",
               LogitTermKind::kReverseKl);
  expect_error(sampled, "samples are at temperature 1 and forward_kl is at 2",
               LogitTermKind::kForwardKl, 2.0);
  expect_error(types::SampledLogProbs{fine, at::ones({2, 2}) * -1, two, 10},
               "`teacher.weights` holds -1 in row 0");
  expect_error(types::SampledLogProbs{fine, at::Tensor(), two, 10}, "`teacher.weights` is missing");
}

}  // namespace
}  // namespace distill::ops
