#include <distill/ops/linear_divergence.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "support/divergence_oracle.h"
#include "support/tolerance.h"

namespace distill::ops {
namespace {

using testing::divergence_oracle;
using testing::relative_error;
using testing::tolerance_of;

constexpr LogitTerm kKl{LogitTermKind::kForwardKl, 1.0, 1.0, true};
constexpr LogitTerm kCe{LogitTermKind::kCrossEntropy, 1.0};
const std::vector<LogitTerm> kBoth{{LogitTermKind::kForwardKl, 0.7, 3.0, true},
                                   {LogitTermKind::kCrossEntropy, 0.3}};

struct Shape {
  std::int64_t rows, vocabulary, width, teacher_vocabulary, teacher_width;
};
std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.rows << "x" << s.vocabulary << "x" << s.width << " teacher "
             << s.teacher_vocabulary << "x" << s.teacher_width;
}

LinearDivergenceInput make_input(const Shape& s, at::ScalarType type, double spread = 1.0) {
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

/// Values and both gradients against the definition. `slack` widens the tolerance where the
/// problem itself amplifies the rounding of fp32 logits.
void expect_oracle(const LinearDivergenceInput& input, std::span<const LogitTerm> terms,
                   double slack = 1.0) {
  const auto tolerance = tolerance_of(input.student_head.scalar_type());
  const auto expected = divergence_oracle(input, terms);
  input.student_hidden.mutable_grad() = at::Tensor();
  input.student_head.mutable_grad() = at::Tensor();
  const auto result = linear_divergence(input, terms);
  const auto near = [&](double value, double wanted) {
    EXPECT_NEAR(value, wanted, slack * tolerance.value * std::max(1e-3, std::abs(wanted)));
  };
  near(result.total.item<double>(), expected.total);
  ASSERT_EQ(result.term_sums.size(), terms.size());
  for (std::size_t i = 0; i < terms.size(); ++i) {
    near(result.term_sums[i].item<double>(), expected.term_sums[i]);
    EXPECT_FALSE(result.term_sums[i].requires_grad());
  }
  result.total.backward();
  const auto check = [&](const at::Tensor& x, const at::Tensor& wanted) {
    ASSERT_TRUE(x.grad().defined());
    EXPECT_EQ(x.grad().scalar_type(), x.scalar_type());
    EXPECT_LE(relative_error(x.grad(), wanted), slack * tolerance.gradient);
  };
  check(input.student_hidden, expected.hidden_grad);
  check(input.student_head, expected.head_grad);
}

template <class Body>
std::string error_of(Body body) {
  try {
    body();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

class LinearDivergence : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(5); }
};

TEST_P(LinearDivergence, IsItsDefinition) {
  const Shape shapes[] = {{1, 1, 1, 1, 1},          {1, 2, 1, 2, 3},      {3, 1, 4, 1, 4},
                          {2, 130, 6, 130, 8},      {17, 127, 7, 127, 5}, {65, 300, 24, 300, 40},
                          {130, 2100, 32, 2100, 16}};
  for (const auto& shape : shapes) {
    SCOPED_TRACE(::testing::PrintToString(shape.vocabulary));
    const auto input = make_input(shape, GetParam());
    for (const auto& terms : {std::vector{kKl}, std::vector{kCe}, kBoth}) {
      expect_oracle(input, terms);
    }
  }
}

TEST_P(LinearDivergence, RandomShapes) {
  std::mt19937 random(11);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  for (int i = 0; i < 25; ++i) {
    const Shape shape{pick(1, 90), pick(1, 400), pick(1, 40), pick(1, 400), pick(1, 40)};
    std::ostringstream name;
    name << shape;
    SCOPED_TRACE(name.str());
    auto input = make_input(shape, GetParam());
    input.valid = at::randint(2, {shape.rows}, at::kLong).to(at::kBool);
    input.student_transform = {pick(0, 1) != 0 ? 0.7 : 1.0, pick(0, 1) != 0 ? 2.5 : 0.0};
    input.workspace_bytes = pick(1, 200000);
    expect_oracle(input, kBoth);
  }
}

TEST_P(LinearDivergence, NoRows) {
  const auto input = make_input({0, 9, 4, 9, 4}, GetParam());
  const auto result = linear_divergence(input, kBoth);
  EXPECT_EQ(result.count, 0);
  EXPECT_EQ(result.total.item<double>(), 0.0);
  result.total.backward();
  EXPECT_TRUE(
      at::equal(input.student_head.grad(), at::zeros({9, 4}, input.student_head.options())));
}

TEST_P(LinearDivergence, AllMaskedIsZeroWithALiveGraph) {
  auto input = make_input({4, 9, 4, 9, 4}, GetParam());
  input.valid = at::zeros({4}, at::kBool);
  input.student_hidden.detach().fill_(std::numeric_limits<double>::quiet_NaN());
  const auto result = linear_divergence(input, kBoth);
  EXPECT_EQ(result.count, 0);
  EXPECT_EQ(result.total.item<double>(), 0.0);
  result.total.backward();
  EXPECT_EQ(input.student_hidden.grad().abs().sum().item<double>(), 0.0);
  EXPECT_EQ(input.student_head.grad().abs().sum().item<double>(), 0.0);
}

TEST_P(LinearDivergence, MaskedRowsMayHoldAnything) {
  auto input = make_input({5, 40, 6, 40, 6}, GetParam());
  input.valid = at::tensor({1, 0, 1, 1, 0}).to(at::kBool);
  const auto clean = linear_divergence(input, kBoth);
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
  const auto dirty = linear_divergence(input, kBoth);
  dirty.total.backward();
  EXPECT_EQ(dirty.count, 3);
  EXPECT_TRUE(at::equal(dirty.total, clean.total));
  EXPECT_TRUE(at::equal(input.student_head.grad(), head_grad));
  EXPECT_TRUE(at::equal(input.student_hidden.grad(), hidden_grad));
  EXPECT_EQ(hidden_grad.select(0, 1).abs().sum().item<double>(), 0.0);
}

TEST_P(LinearDivergence, ExtremeTemperatures) {
  const auto input = make_input({20, 150, 8, 150, 8}, GetParam());
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
  expect_oracle(make_input({12, 150, 16, 150, 16}, GetParam(), 1000.0), kBoth, 100.0);
}

TEST_P(LinearDivergence, IdenticalModelsGiveExactlyZero) {
  for (const double temperature : {0.5, 1.0, 3.0}) {
    auto input = make_input({70, 333, 24, 333, 24}, GetParam());
    input.student_transform = {0.9, 5.0};
    input.teacher = types::DenseHidden{
        input.student_hidden.detach().clone(), input.student_head.detach().clone(), {0.9, 5.0}};
    const LogitTerm term{LogitTermKind::kForwardKl, 1.0, temperature, true};
    const auto result = linear_divergence(input, std::vector{term});
    EXPECT_EQ(result.total.item<double>(), 0.0);
    result.total.backward();
    EXPECT_EQ(input.student_hidden.grad().abs().max().item<double>(), 0.0);
    EXPECT_EQ(input.student_head.grad().abs().max().item<double>(), 0.0);
  }
}

TEST_P(LinearDivergence, NeverNegativeForNearlyEqualModels) {
  auto input = make_input({30, 400, 16, 400, 16}, GetParam());
  const auto type = GetParam();
  const at::Tensor nudged = input.student_hidden.detach().to(at::kDouble) * (1.0 + 1.0 / 128);
  input.teacher = types::DenseHidden{nudged.to(type), input.student_head.detach().clone(), {}};
  for (const double temperature : {1.0, 20.0}) {
    const LogitTerm term{LogitTermKind::kForwardKl, 1.0, temperature, true};
    const double value = linear_divergence(input, std::vector{term}).total.item<double>();
    EXPECT_GT(value, 0.0);
    EXPECT_NEAR(value, divergence_oracle(input, std::vector{term}).total, 1e-3 * value);
  }
}

TEST_P(LinearDivergence, WorkspaceDoesNotChangeTheResult) {
  const auto input = make_input({150, 1000, 12, 1000, 20}, GetParam());
  const auto run = [&](std::int64_t bytes) {
    LinearDivergenceInput sized = input;
    sized.workspace_bytes = bytes;
    sized.student_hidden = input.student_hidden.detach().clone().requires_grad_();
    sized.student_head = input.student_head.detach().clone().requires_grad_();
    const auto result = linear_divergence(sized, kBoth);
    result.total.backward();
    return std::tuple{result.total, sized.student_hidden.grad(), sized.student_head.grad()};
  };
  const auto [total, hidden, head] = run(std::int64_t{1} << 30);
  const auto tolerance = tolerance_of(GetParam());
  for (const std::int64_t bytes : {1, 100000, 400000, 1000000}) {
    const auto [other_total, other_hidden, other_head] = run(bytes);
    EXPECT_LE(relative_error(other_total, total), tolerance.value);
    EXPECT_LE(relative_error(other_hidden, hidden), tolerance.gradient);
    EXPECT_LE(relative_error(other_head, head), tolerance.gradient);
  }
}

TEST_P(LinearDivergence, SameBytesEachRun) {
  const auto input = make_input({100, 700, 16, 700, 16}, GetParam());
  const auto run = [&] {
    input.student_head.mutable_grad() = at::Tensor();
    input.student_hidden.mutable_grad() = at::Tensor();
    const auto result = linear_divergence(input, kBoth);
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

TEST_P(LinearDivergence, WeightedSumIsTheSumOfItsParts) {
  const auto input = make_input({40, 200, 12, 200, 12}, GetParam());
  const LogitTerm terms[] = {{LogitTermKind::kForwardKl, 0.5, 2.0, true},
                             {LogitTermKind::kCrossEntropy, 0.25},
                             {LogitTermKind::kForwardKl, 2.0, 1.0, false}};
  expect_oracle(input, terms);
  const auto all = linear_divergence(input, terms);
  double total = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto alone = linear_divergence(input, std::span(terms + i, 1));
    EXPECT_NEAR(alone.term_sums[0].item<double>(), all.term_sums[i].item<double>(), 1e-4);
    total += alone.total.item<double>();
  }
  EXPECT_NEAR(all.total.item<double>(), total, 1e-5 * std::abs(total));
}

TEST_P(LinearDivergence, OnlyWhatNeedsAGradientGetsOne) {
  const auto input = make_input({20, 150, 12, 150, 12}, GetParam());
  const auto expected = divergence_oracle(input, kBoth);
  const double limit = tolerance_of(GetParam()).gradient;
  LinearDivergenceInput frozen_head = input;
  frozen_head.student_head = input.student_head.detach();
  linear_divergence(frozen_head, kBoth).total.backward();
  EXPECT_LE(relative_error(input.student_hidden.grad(), expected.hidden_grad), limit);
  EXPECT_FALSE(input.student_head.grad().defined());

  LinearDivergenceInput frozen_hidden = input;
  frozen_hidden.student_hidden = input.student_hidden.detach();
  linear_divergence(frozen_hidden, kBoth).total.backward();
  EXPECT_LE(relative_error(input.student_head.grad(), expected.head_grad), limit);
}

TEST_P(LinearDivergence, NoGradientsWithoutGradMode) {
  const auto input = make_input({20, 150, 12, 150, 12}, GetParam());
  const auto recorded = linear_divergence(input, kBoth);
  const at::NoGradGuard guard;
  const auto result = linear_divergence(input, kBoth);
  EXPECT_FALSE(result.total.requires_grad());
  EXPECT_TRUE(at::equal(result.total, recorded.total.detach()));
}

TEST_P(LinearDivergence, PaddedVocabularies) {
  for (const auto& [student, teacher] : {std::pair{150, 137}, std::pair{137, 150}}) {
    const auto input = make_input({20, student, 12, teacher, 8}, GetParam());
    expect_oracle(input, kBoth);
    if (student == 150) {
      EXPECT_EQ(input.student_head.grad().narrow(0, 137, 13).abs().sum().item<double>(), 0.0);
    }
  }
}

TEST_P(LinearDivergence, ScaleAndSoftcap) {
  auto input = make_input({20, 150, 12, 150, 8}, GetParam(), 3.0);
  input.student_transform = {0.25, 4.0};
  std::get<types::DenseHidden>(input.teacher).transform = {1.5, 20.0};
  expect_oracle(input, kBoth);
  input.student_transform = {-0.5, 0.0};
  expect_oracle(input, kBoth);
}

TEST_P(LinearDivergence, StridedInputs) {
  auto input = make_input({30, 150, 24, 150, 24}, GetParam());
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
  auto input = make_input({40, 300, 12, 300, 8}, GetParam());
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    at::Tensor logits = at::randn({40, 280}, at::kDouble).to(type);
    logits.select(1, 3).fill_(-std::numeric_limits<double>::infinity());
    input.teacher = types::DenseLogits{logits};
    input.valid = at::randint(2, {40}, at::kLong).to(at::kBool);
    input.labels = at::randint(280, {40}, at::kLong);
    expect_oracle(input, kBoth);
  }
}

TEST_P(LinearDivergence, IncomingGradientIsAFactor) {
  const auto input = make_input({20, 150, 12, 150, 12}, GetParam());
  const auto expected = divergence_oracle(input, kBoth);
  const auto result = linear_divergence(input, kBoth);
  (result.total * -0.125).backward({}, /*retain_graph=*/true);
  EXPECT_LE(relative_error(input.student_head.grad(), expected.head_grad * -0.125),
            tolerance_of(GetParam()).gradient);
  (result.total * 0.125).backward();  // the saved gradients are still whole
  EXPECT_EQ(input.student_head.grad().abs().max().item<double>(), 0.0);
}

TEST_P(LinearDivergence, SecondDerivativeIsRefused) {
  const auto input = make_input({5, 20, 4, 20, 4}, GetParam());
  const auto result = linear_divergence(input, kBoth);
  const auto grads = torch::autograd::grad({result.total}, {input.student_hidden}, {}, true, true);
  EXPECT_NE(error_of([&] { grads[0].sum().backward(); }).find("differentiated only once"),
            std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Types, LinearDivergence,
                         ::testing::Values(at::kDouble, at::kFloat, at::kBFloat16),
                         [](const auto& parameter) {
                           return std::string(c10::toString(parameter.param));
                         });

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

TEST(LinearDivergenceSlope, IsTheSlopeOfTheReportedValue) {
  at::manual_seed(3);
  for (const bool scaled : {true, false}) {
    auto input = make_input({4, 11, 3, 11, 3}, at::kDouble);
    input.student_transform = {1.3, 2.0};
    const std::vector<LogitTerm> terms{{LogitTermKind::kForwardKl, 0.6, 2.5, scaled},
                                       {LogitTermKind::kCrossEntropy, 0.4}};
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
}

TEST(LinearDivergenceErrors, NameTheArgument) {
  const auto good = make_input({3, 10, 4, 10, 4}, at::kFloat);
  const auto expect_error = [&](auto change, std::vector<LogitTerm> terms, const char* text) {
    auto input = good;
    change(input);
    const std::string message = error_of([&] { linear_divergence(input, terms); });
    EXPECT_NE(message.find(text), std::string::npos) << message;
  };
  using In = LinearDivergenceInput;
  const auto nothing = [](In&) {};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double t : {0.0, -1.0, nan}) {
    expect_error(nothing, {{LogitTermKind::kForwardKl, 1.0, t}},
                 "the temperature of forward_kl must be above 0, is ");
  }
  expect_error(nothing, {{LogitTermKind::kForwardKl, nan}},
               "the weight of forward_kl must be finite");
  expect_error(nothing, {}, "`terms` is empty");
  expect_error([](In& in) { in.teacher = {}; }, {kKl},
               "`teacher` is missing, forward_kl compares with one");
  expect_error([](In& in) { in.labels = at::Tensor(); }, {kCe},
               "`labels` is missing, cross_entropy needs it");
  expect_error(
      [](In& in) {
        in.labels = at::tensor({0, 10, 1}, at::kLong);
      },
      {kCe}, "`labels` holds 10 in a row that counts, expected an id in [0, 10)");
  expect_error(
      [](In& in) {
        in.labels = at::tensor({0, -1, 1}, at::kLong);
      },
      {kCe}, "`labels` holds -1");
  expect_error([](In& in) { in.labels = at::zeros({2}, at::kLong); }, {kCe},
               "`labels` must be int64 [3], is Long [2]");
  expect_error([](In& in) { in.valid = at::ones({2}, at::kBool); }, {kKl},
               "`valid` must be bool [3], is Bool [2]");
  expect_error([](In& in) { in.student_hidden = at::zeros({3}); }, {kKl},
               "`student_hidden` must have 2 dimensions, has shape [3]");
  expect_error([](In& in) { in.student_hidden = at::Tensor(); }, {kKl},
               "`student_hidden` is missing");
  expect_error(
      [](In& in) {
        in.student_head = at::zeros({10, 5});
      },
      {kKl}, "`student_head` has shape [10, 5] and `student_hidden` [3, 4]");
  expect_error(
      [](In& in) {
        in.student_head = at::zeros({10, 4}, at::kDouble);
      },
      {kKl}, "`student_head` is Double and `student_hidden` Float, they must be the same");
  expect_error(
      [](In& in) {
        in.student_hidden = at::zeros({3, 4}, at::kHalf);
      },
      {kKl}, "`student_hidden` must be fp32, bf16 or fp64, is Half");
  expect_error(
      [](In& in) {
        in.student_head = at::zeros({0, 4});
      },
      {kKl}, "`student_head` has no rows");
  expect_error(
      [](In& in) {
        in.teacher = types::DenseLogits{at::zeros({2, 10})};
      },
      {kKl}, "`teacher` has 2 rows and `student_hidden` 3");
  expect_error(
      [](In& in) {
        in.teacher = types::DenseLogits{at::zeros({3, 10}, at::kLong)};
      },
      {kKl}, "`teacher.logits` must be floating point, is Long");
  expect_error([&](In& in) { in.student_transform.softcap = -1; }, {kKl},
               "must be 0 (off) or above, is -1");
  expect_error([](In& in) { in.workspace_bytes = 0; }, {kKl},
               "`workspace_bytes` must be above 0, is 0");
}

}  // namespace
}  // namespace distill::ops
