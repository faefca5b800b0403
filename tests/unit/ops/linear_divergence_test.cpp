#include <distill/ops/linear_divergence.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "support/divergence_bodies.h"

namespace distill::ops {
namespace {

using testing::cross_entropy_term;
using testing::divergence_input;
using testing::every_divergence;

const LogitTerm kKl{LogitTermKind::kForwardKl, 1.0, 1.0, true};
const LogitTerm kCe{LogitTermKind::kCrossEntropy, 1.0};
/// Every kind at once, two temperatures among them.
std::vector<LogitTerm> every_term() {
  std::vector<LogitTerm> terms = every_divergence(2.0);
  terms.push_back(cross_entropy_term(0.5, 0.1, 0.01));
  terms.push_back(cross_entropy_term(0.25));
  terms[2].temperature = 0.7;
  terms[4].scale_by_t2 = false;
  return terms;
}

const std::vector<LogitTerm> kBoth{{LogitTermKind::kForwardKl, 0.7, 3.0, true},
                                   {LogitTermKind::kCrossEntropy, 0.3}};

class LinearDivergence : public testing::DivergenceCase {};

TEST_P(LinearDivergence, IsItsDefinition) {
  const testing::DivergenceShape shapes[] = {
      {1, 1, 1, 1, 1},      {1, 2, 1, 2, 3},        {3, 1, 4, 1, 4},          {2, 130, 6, 130, 8},
      {17, 127, 7, 127, 5}, {65, 300, 24, 300, 40}, {130, 2100, 32, 2100, 16}};
  for (const auto& shape : shapes) {
    SCOPED_TRACE(::testing::PrintToString(shape.vocabulary));
    const auto input = divergence_input(shape, type());
    for (const auto& terms : {std::vector{kKl}, std::vector{kCe}, kBoth, every_term()}) {
      expect_oracle(input, terms);
    }
    for (const LogitTerm& term : every_divergence(1.0)) {
      SCOPED_TRACE(name_of(term.kind));
      // Differences of probabilities amplify the rounding of fp32 logits.
      expect_oracle(input, std::vector{term}, 3.0);
    }
  }
}

TEST_P(LinearDivergence, RandomShapes) {
  std::mt19937 random(11);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  for (int i = 0; i < 60; ++i) {
    const testing::DivergenceShape shape{pick(1, 90), pick(1, 400), pick(1, 40), pick(1, 400),
                                         pick(1, 40)};
    std::ostringstream name;
    name << shape;
    SCOPED_TRACE(name.str());
    auto input = divergence_input(shape, type());
    input.valid = at::randint(2, {shape.rows}, at::kLong).to(at::kBool);
    input.student_transform = {pick(0, 1) != 0 ? 0.7 : 1.0, pick(0, 1) != 0 ? 2.5 : 0.0};
    input.workspace_bytes = pick(1, 200000);
    if (pick(0, 1) != 0) input.weights = at::rand({shape.rows}, at::kDouble);
    std::vector<LogitTerm> terms;
    for (const LogitTerm& term : every_term()) {
      if (pick(0, 2) == 0) terms.push_back(term);
    }
    expect_oracle(input, terms.empty() ? kBoth : terms);
  }
}

TEST_P(LinearDivergence, ExtremeTemperatures) {
  const auto input = divergence_input({20, 150, 8, 150, 8}, type());
  for (const double temperature : {0.1, 100.0}) {
    for (const bool scaled : {true, false}) {
      const LogitTerm term{LogitTermKind::kForwardKl, 0.5, temperature, scaled};
      // At T = 100 the two distributions nearly agree: their difference keeps fewer digits.
      expect_oracle(input, std::vector{term}, temperature > 1 ? 20.0 : 5.0);
    }
  }
}

TEST_P(LinearDivergence, LargeLogits) {
  // Logits near 1e4 in fp32 are off by 1e-3.
  expect_oracle(divergence_input({12, 150, 16, 150, 16}, type(), 1000.0), kBoth, 100.0);
}

TEST_P(LinearDivergence, PaddedVocabularies) {
  for (const auto& [student, teacher] : {std::pair{150, 137}, std::pair{137, 150}}) {
    const auto input = divergence_input({20, student, 12, teacher, 8}, type());
    expect_oracle(input, kBoth);
    if (student == 150) {
      EXPECT_EQ(input.student_head.grad().narrow(0, 137, 13).abs().sum().item<double>(), 0.0);
    }
  }
}

TEST_P(LinearDivergence, OnlyTheTokenizersIdsCount) {
  auto input = divergence_input({20, 150, 12, 150, 8}, type());
  input.vocabulary = 137;
  input.labels = at::randint(137, {20}, at::kLong);
  expect_oracle(input, every_term(), 3.0);
  EXPECT_EQ(input.student_head.grad().narrow(0, 137, 13).abs().sum().item<double>(), 0.0);
  const double value = divergence(input, kBoth).total.item<double>();
  input.student_head.detach().narrow(0, 137, 13).fill_(50.0);  // padding may hold anything
  EXPECT_EQ(divergence(input, kBoth).total.item<double>(), value);
  input.vocabulary = 1000;
  expect_oracle(input, kBoth, 100.0);
}

TEST_P(LinearDivergence, ScaleAndSoftcap) {
  auto input = divergence_input({20, 150, 12, 150, 8}, type(), 3.0);
  input.student_transform = {0.25, 4.0};
  std::get<types::DenseHidden>(input.teacher).transform = {1.5, 20.0};
  expect_oracle(input, kBoth);
  input.student_transform = {-0.5, 0.0};
  expect_oracle(input, kBoth);
}

TEST_P(LinearDivergence, StridedInputs) {
  auto input = divergence_input({30, 150, 24, 150, 24}, type());
  const auto every_second = [](const at::Tensor& x) {
    at::Tensor wide = at::full({x.size(0), 2 * x.size(1)}, 7.0, x.options());
    const at::Tensor view = wide.slice(1, 0, std::nullopt, 2);
    view.copy_(x.detach());
    return view;
  };
  auto strided = input;
  strided.student_hidden = every_second(input.student_hidden).requires_grad_();
  strided.student_head = input.student_head.detach().t().contiguous().t().requires_grad_();
  auto& teacher = std::get<types::DenseHidden>(strided.teacher);
  teacher.hidden = every_second(teacher.hidden);
  teacher.head = every_second(teacher.head);
  strided.labels = input.labels.repeat({2}).slice(0, 0, 30);
  expect_oracle(strided, kBoth);
}

TEST_P(LinearDivergence, TeacherLogits) {
  auto input = divergence_input({40, 300, 12, 300, 8}, type());
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    at::Tensor logits = at::randn({40, 280}, at::kDouble).to(type);
    logits.select(1, 3).fill_(-std::numeric_limits<double>::infinity());
    input.teacher = types::DenseLogits{logits};
    input.valid = at::randint(2, {40}, at::kLong).to(at::kBool);
    input.labels = at::randint(280, {40}, at::kLong);
    expect_oracle(input, kBoth);
  }
}

TEST_P(LinearDivergence, WeightedSumIsTheSumOfItsParts) {
  const auto input = divergence_input({40, 200, 12, 200, 12}, type());
  const LogitTerm terms[] = {{LogitTermKind::kForwardKl, 0.5, 2.0, true},
                             {LogitTermKind::kCrossEntropy, 0.25},
                             {LogitTermKind::kForwardKl, 2.0, 1.0, false}};
  expect_oracle(input, terms);
  const auto all = divergence(input, terms);
  double total = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto alone = divergence(input, std::span(terms + i, 1));
    EXPECT_NEAR(alone.term_sums[0].item<double>(), all.term_sums[i].item<double>(), 1e-4);
    total += alone.total.item<double>();
  }
  EXPECT_NEAR(all.total.item<double>(), total, 1e-5 * std::abs(total));
}

INSTANTIATE_TEST_SUITE_P(All, LinearDivergence, testing::every_case(), testing::case_name);

TEST(LinearDivergenceValue, ClosedForm) {
  // Teacher (3/4, 1/4), student (1/2, 1/2).
  LinearDivergenceInput input;
  input.student_hidden = at::ones({1, 1}).requires_grad_();
  input.student_head = at::zeros({2, 1});
  input.teacher = types::DenseLogits{at::tensor({std::log(3.0F), 0.0F}).unsqueeze(0)};
  input.labels = at::zeros({1}, at::kLong);
  const auto result = linear_divergence(input, std::vector{kKl, kCe});
  EXPECT_NEAR(result.term_sums[0].item<double>(), 0.75 * std::log(1.5) + 0.25 * std::log(0.5),
              1e-7);
  EXPECT_NEAR(result.term_sums[1].item<double>(), std::log(2.0), 1e-7);
}

/// Each entry of both gradients against differences of the value, in float64.
void expect_slope_of_value(LinearDivergenceInput input, const std::vector<LogitTerm>& terms) {
  linear_divergence(input, terms).total.backward();
  for (const at::Tensor& x : {input.student_hidden, input.student_head}) {
    auto* data = x.data_ptr<double>();
    const at::Tensor gradient = x.grad();
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const double saved = data[i];
      const auto value_at = [&](double at) {
        data[i] = at;
        return linear_divergence(input, terms).total.item<double>();
      };
      const double slope = (value_at(saved + 1e-5) - value_at(saved - 1e-5)) / 2e-5;
      data[i] = saved;
      EXPECT_NEAR(gradient.data_ptr<double>()[i], slope, 1e-7);
    }
  }
}

TEST(LinearDivergenceSlope, IsTheSlopeOfTheReportedValue) {
  for (const bool scaled : {true, false}) {
    for (LogitTerm term : every_term()) {
      // Its weights count as constants: the gradient is not the slope of the value.
      if (term.kind == LogitTermKind::kAdaptiveKl) continue;
      SCOPED_TRACE(name_of(term.kind));
      term.scale_by_t2 = scaled;
      at::manual_seed(3);
      auto input = divergence_input({4, 11, 3, 11, 3}, at::kDouble);
      input.student_transform = {1.3, 2.0};
      input.weights = at::tensor({0.5, 2.0, 1.0, 0.0}, at::kDouble);
      expect_slope_of_value(input, {term, kBoth[1]});
    }
  }
}

TEST(LinearDivergenceValue, AdaptiveHeadIsTheLeastSetOfLikelyIds) {
  // Teacher 0.4, 0.3, 0.2, 0.1: the head is the first two. Student uniform.
  LinearDivergenceInput input;
  input.student_hidden = at::ones({1, 1});
  input.student_head = at::zeros({4, 1});
  const at::Tensor p = at::tensor({0.4F, 0.3F, 0.2F, 0.1F});
  input.teacher = types::DenseLogits{p.log().unsqueeze(0)};
  const double value = linear_divergence(input, std::vector{LogitTerm{LogitTermKind::kAdaptiveKl}})
                           .term_sums[0]
                           .item<double>();
  double forward = 0;
  double reverse = 0;
  for (const double x : {0.4, 0.3, 0.2, 0.1}) {
    forward += x * std::log(x / 0.25);
    reverse += 0.25 * std::log(0.25 / x);
  }
  EXPECT_NEAR(value, 0.5 * forward + 0.5 * reverse, 1e-6);  // 0.15 + 0.05 against 0.05 + 0.15
}

}  // namespace
}  // namespace distill::ops
