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
#include "support/torch_error.h"

namespace distill::ops {
namespace {

using testing::cross_entropy_term;
using testing::divergence_input;
using testing::divergence_oracle;
using testing::every_divergence;
using testing::relative_error;
using testing::tolerance_of;
using testing::torch_error_of;

std::vector<LogitTerm> every_term() {
  std::vector<LogitTerm> terms = every_divergence();
  terms.push_back(cross_entropy_term(0.5, 0.1, 0.01));
  return terms;
}

const std::vector<LogitTerm> kBoth{{LogitTermKind::kForwardKl, 0.7, 3.0, true},
                                   {LogitTermKind::kCrossEntropy, 0.3}};

class DivergenceInvariance : public testing::DivergenceCase {};

TEST_P(DivergenceInvariance, NoRows) {
  const auto input = divergence_input({0, 9, 4, 9, 4}, type());
  const auto result = divergence(input, every_term());
  EXPECT_EQ(result.count, 0);
  EXPECT_EQ(result.total.item<double>(), 0.0);
  result.total.backward();
  EXPECT_TRUE(
      at::equal(input.student_head.grad(), at::zeros({9, 4}, input.student_head.options())));
}

TEST_P(DivergenceInvariance, AllMaskedIsZeroWithALiveGraph) {
  auto input = divergence_input({4, 9, 4, 9, 4}, type());
  input.valid = at::zeros({4}, at::kBool);
  input.student_hidden.detach().fill_(std::numeric_limits<double>::quiet_NaN());
  const auto result = divergence(input, every_term());
  EXPECT_EQ(result.count, 0);
  EXPECT_EQ(result.total.item<double>(), 0.0);
  result.total.backward();
  EXPECT_EQ(input.student_hidden.grad().abs().sum().item<double>(), 0.0);
  EXPECT_EQ(input.student_head.grad().abs().sum().item<double>(), 0.0);
}

TEST_P(DivergenceInvariance, MaskedRowsMayHoldAnything) {
  auto input = divergence_input({5, 40, 6, 40, 6}, type());
  input.valid = at::tensor({1, 0, 1, 1, 0}).to(at::kBool);
  const auto clean = divergence(input, every_term());
  clean.total.backward();
  const at::Tensor head_grad = input.student_head.grad().clone();
  const at::Tensor hidden_grad = input.student_hidden.grad().clone();

  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::int64_t row : {1, 4}) {
    input.student_hidden.detach().select(0, row).fill_(nan);
    std::get<types::DenseHidden>(input.teacher).hidden.select(0, row).fill_(nan);
    input.labels.select(0, row).fill_(-100);
  }
  input.student_head.mutable_grad() = at::Tensor();
  input.student_hidden.mutable_grad() = at::Tensor();
  const auto dirty = divergence(input, every_term());
  dirty.total.backward();
  EXPECT_EQ(dirty.count, 3);
  EXPECT_TRUE(at::equal(dirty.total, clean.total));
  EXPECT_TRUE(at::equal(input.student_head.grad(), head_grad));
  EXPECT_TRUE(at::equal(input.student_hidden.grad(), hidden_grad));
  EXPECT_EQ(hidden_grad.select(0, 1).abs().sum().item<double>(), 0.0);
}

TEST_P(DivergenceInvariance, IdenticalModelsGiveExactlyZero) {
  for (const double temperature : {0.5, 1.0, 3.0}) {
    auto input = divergence_input({70, 333, 24, 333, 24}, type());
    input.student_transform = {0.9, 5.0};
    input.teacher = types::DenseHidden{
        input.student_hidden.detach().clone(), input.student_head.detach().clone(), {0.9, 5.0}};
    for (const LogitTerm& term : every_divergence(temperature)) {
      SCOPED_TRACE(name_of(term.kind));
      input.student_hidden.mutable_grad() = at::Tensor();
      input.student_head.mutable_grad() = at::Tensor();
      const auto result = divergence(input, std::vector{term});
      EXPECT_EQ(result.total.item<double>(), 0.0);
      result.total.backward();
      EXPECT_EQ(input.student_hidden.grad().abs().max().item<double>(), 0.0);
      EXPECT_EQ(input.student_head.grad().abs().max().item<double>(), 0.0);
    }
  }
}

TEST_P(DivergenceInvariance, KeepsItsDigitsForNearlyEqualModels) {
  auto input = divergence_input({30, 400, 16, 400, 16}, type());
  const at::Tensor nudged = input.student_hidden.detach().to(at::kDouble) * (1.0 + 1.0 / 128);
  input.teacher = types::DenseHidden{nudged.to(type()), input.student_head.detach().clone(), {}};
  for (const double temperature : {1.0, 20.0}) {
    for (const LogitTerm& term : every_divergence(temperature)) {
      SCOPED_TRACE(name_of(term.kind));
      const double value = divergence(input, std::vector{term}).total.item<double>();
      EXPECT_GT(value, 0.0);
      EXPECT_NEAR(value, divergence_oracle(input, std::vector{term}).total, 1e-3 * value);
    }
  }
}

TEST_P(DivergenceInvariance, AWeightOfTwoIsTheRowTwice) {
  const auto input = divergence_input({6, 130, 8, 130, 8}, type());
  auto weighted = input;
  weighted.weights = at::tensor({2.0, 0.0, 1.0, 1.0, 2.0, 1.0}, at::kDouble);
  auto repeated = input;
  const at::Tensor rows = at::tensor({0, 0, 2, 3, 4, 4, 5}, at::kLong);
  const auto& teacher = std::get<types::DenseHidden>(input.teacher);
  repeated.student_hidden = input.student_hidden.index_select(0, rows);
  repeated.labels = input.labels.index_select(0, rows);
  repeated.teacher =
      types::DenseHidden{teacher.hidden.index_select(0, rows), teacher.head, teacher.transform};
  const auto run = [&](const LinearDivergenceInput& of) {
    input.student_hidden.mutable_grad() = at::Tensor();
    input.student_head.mutable_grad() = at::Tensor();
    const auto result = divergence(of, every_term());
    result.total.backward();
    return std::tuple{result.total, input.student_hidden.grad(), input.student_head.grad()};
  };
  const auto [total, hidden, head] = run(weighted);
  EXPECT_EQ(hidden.select(0, 1).abs().sum().item<double>(), 0.0);
  const auto [same_total, same_hidden, same_head] = run(repeated);
  EXPECT_LE(relative_error(total, same_total), tolerance_of(type()).value);
  EXPECT_LE(relative_error(hidden, same_hidden), tolerance_of(type()).gradient);
  EXPECT_LE(relative_error(head, same_head), tolerance_of(type()).gradient);
}

TEST_P(DivergenceInvariance, WorkspaceDoesNotChangeTheResult) {
  const auto input = divergence_input({150, 1000, 12, 1000, 20}, type());
  const auto run = [&](std::int64_t bytes) {
    LinearDivergenceInput sized = input;
    sized.workspace_bytes = bytes;
    sized.student_hidden = input.student_hidden.detach().clone().requires_grad_();
    sized.student_head = input.student_head.detach().clone().requires_grad_();
    const auto result = divergence(sized, every_term());
    result.total.backward();
    return std::tuple{result.total, sized.student_hidden.grad(), sized.student_head.grad()};
  };
  const auto [total, hidden, head] = run(std::int64_t{1} << 30);
  const auto tolerance = tolerance_of(type());
  for (const std::int64_t bytes : {1, 100000, 400000, 1000000, 4000000}) {
    const auto [other_total, other_hidden, other_head] = run(bytes);
    EXPECT_LE(relative_error(other_total, total), tolerance.value);
    EXPECT_LE(relative_error(other_hidden, hidden), tolerance.gradient);
    EXPECT_LE(relative_error(other_head, head), tolerance.gradient);
  }
}

TEST_P(DivergenceInvariance, SameBytesEachRun) {
  const auto input = divergence_input({100, 700, 16, 700, 16}, type());
  const auto run = [&] {
    input.student_head.mutable_grad() = at::Tensor();
    input.student_hidden.mutable_grad() = at::Tensor();
    const auto result = divergence(input, every_term());
    result.total.backward();
    return std::tuple{result.total, input.student_hidden.grad(), input.student_head.grad()};
  };
  const auto [total, hidden, head] = run();
  for (int i = 0; i < 3; ++i) {
    const auto [again_total, again_hidden, again_head] = run();
    EXPECT_TRUE(at::equal(total, again_total));
    EXPECT_TRUE(at::equal(hidden, again_hidden));
    EXPECT_TRUE(at::equal(head, again_head));
  }
}

TEST_P(DivergenceInvariance, OnlyWhatNeedsAGradientGetsOne) {
  const auto input = divergence_input({20, 150, 12, 150, 12}, type());
  const auto expected = divergence_oracle(input, every_term());
  const double limit = tolerance_of(type()).gradient;
  LinearDivergenceInput frozen_head = input;
  frozen_head.student_head = input.student_head.detach();
  divergence(frozen_head, every_term()).total.backward();
  EXPECT_LE(relative_error(input.student_hidden.grad(), expected.hidden_grad), limit);
  EXPECT_FALSE(input.student_head.grad().defined());

  LinearDivergenceInput frozen_hidden = input;
  frozen_hidden.student_hidden = input.student_hidden.detach();
  divergence(frozen_hidden, every_term()).total.backward();
  EXPECT_LE(relative_error(input.student_head.grad(), expected.head_grad), limit);
}

TEST_P(DivergenceInvariance, NoGradientsWithoutGradMode) {
  const auto input = divergence_input({20, 150, 12, 150, 12}, type());
  const auto recorded = divergence(input, every_term());
  const at::NoGradGuard guard;
  const auto result = divergence(input, every_term());
  EXPECT_FALSE(result.total.requires_grad());
  EXPECT_TRUE(at::equal(result.total, recorded.total.detach()));
}

TEST_P(DivergenceInvariance, IncomingGradientIsAFactor) {
  const auto input = divergence_input({20, 150, 12, 150, 12}, type());
  const auto expected = divergence_oracle(input, kBoth);
  const auto result = divergence(input, kBoth);
  (result.total * -0.125).backward({}, /*retain_graph=*/true);
  EXPECT_LE(relative_error(input.student_head.grad(), expected.head_grad * -0.125),
            tolerance_of(type()).gradient);
  (result.total * 0.125).backward();  // the saved gradients are still whole
  EXPECT_EQ(input.student_head.grad().abs().max().item<double>(), 0.0);
}

TEST_P(DivergenceInvariance, ASecondBackwardNeedsARetainedGraph) {
  const auto input = divergence_input({5, 20, 4, 20, 4}, type());
  const auto result = divergence(input, kBoth);
  result.total.backward();
  const at::Tensor head = input.student_head.grad().clone();
  EXPECT_GT(head.abs().max().item<double>(), 0.0);
  EXPECT_NE(torch_error_of([&] { result.total.backward(); }).find("give retain_graph to it"),
            std::string::npos);
  EXPECT_TRUE(at::equal(input.student_head.grad(), head));
}

TEST_P(DivergenceInvariance, SecondDerivativeIsRefused) {
  const auto input = divergence_input({5, 20, 4, 20, 4}, type());
  const auto result = divergence(input, kBoth);
  const auto grads = torch::autograd::grad({result.total}, {input.student_hidden}, {}, true, true);
  EXPECT_NE(torch_error_of([&] { grads[0].sum().backward(); }).find("differentiated only once"),
            std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(All, DivergenceInvariance, testing::every_case(), testing::case_name);

}  // namespace
}  // namespace distill::ops
