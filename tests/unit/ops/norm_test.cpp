#include <distill/ops/norm.h>

#include <limits>

#include <gtest/gtest.h>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>

#include "reference/ops_values.h"
#include "support/op_check.h"

namespace distill::ops {
namespace {

using testing::expect_close;
using testing::normal;
using testing::Tensors;

constexpr double kEps = 1e-5;
constexpr at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16, at::kDouble};

at::Tensor plain(const at::Tensor& x, const at::Tensor& weight) {
  return x * (x.square().mean(-1, true) + kEps).rsqrt() * weight;
}

Tensors ours(const Tensors& in) {
  return {rms_norm(in[0], in[1], kEps)};
}
Tensors oracle(const Tensors& in) {
  return {plain(in[0], in[1])};
}

Tensors ours_add(const Tensors& in) {
  const auto [normed, sum] = add_rms_norm(in[0], in[1], in[2], kEps);
  return {normed, sum};
}
Tensors oracle_add(const Tensors& in) {
  const at::Tensor sum = in[0] + in[1];
  return {plain(sum, in[2]), sum};
}

TEST(RmsNorm, LikeFloat64OnEveryWidth) {
  for (const at::ScalarType type : kTypes) {
    // Width 1 is not here: its gradient is a difference of equal numbers.
    for (const std::int64_t width : {2, 3, 16, 17, 63, 576}) {
      testing::expect_like_oracle(ours, oracle, {normal({70, width}, 1), normal({width}, 2)}, type);
    }
  }
}

TEST(RmsNorm, GradientsLikeDifferences) {
  testing::expect_gradients_like_differences(ours, {normal({3, 5}, 1), normal({5}, 2)});
  testing::expect_gradients_like_differences(
      ours_add, {normal({3, 5}, 1), normal({3, 5}, 3), normal({5}, 2)});
}

TEST(AddRmsNorm, LikeFloat64) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const std::int64_t width : {3, 17, 576}) {
      testing::expect_like_oracle(
          ours_add, oracle_add,
          {normal({40, width}, 1), normal({40, width}, 3), normal({width}, 2)}, type);
    }
  }
}

// In bf16 the sum is rounded before it is normalised, so it is compared with that.
TEST(AddRmsNorm, IsTheTwoStepsOneAfterTheOther) {
  for (const at::ScalarType type : kTypes) {
    const at::Tensor x = normal({33, 50}, 1).to(type);
    const at::Tensor residual = normal({33, 50}, 2).to(type);
    const at::Tensor weight = normal({50}, 3).to(type);
    const auto [normed, sum] = add_rms_norm(x, residual, weight, kEps);
    EXPECT_TRUE(at::equal(sum, x + residual));
    EXPECT_TRUE(at::equal(normed, rms_norm(sum, weight, kEps)));
  }
}

TEST(AddRmsNorm, Bf16GradientsLikeTheTwoSteps) {
  const auto two_steps = [](const Tensors& in) -> Tensors {
    const at::Tensor sum = in[0] + in[1];
    return {rms_norm(sum, in[2], kEps), sum};
  };
  const Tensors inputs{normal({40, 50}, 1), normal({40, 50}, 2), normal({50}, 3)};
  const auto a = testing::evaluate(ours_add, inputs, at::kBFloat16);
  const auto b = testing::evaluate(two_steps, inputs, at::kBFloat16);
  for (std::size_t i = 0; i < 3; ++i) {
    expect_close(a.gradients[i], b.gradients[i], 1.0 / 64, "gradient " + std::to_string(i));
  }
}

TEST(AddRmsNorm, EitherOutputAloneHasAGradient) {
  const at::Tensor weight = normal({7}, 3).requires_grad_();
  for (const bool first : {true, false}) {
    const at::Tensor x = normal({4, 7}, 1).requires_grad_();
    const at::Tensor y = normal({4, 7}, 2).requires_grad_();
    const auto [normed, sum] = add_rms_norm(x, y, weight, kEps);
    (first ? normed : sum).square().sum().backward();
    EXPECT_TRUE(at::equal(x.grad(), y.grad()));
    if (!first) {
      EXPECT_TRUE(at::equal(x.grad(), 2 * (x + y)));
    }
  }
}

TEST(RmsNorm, ProducesTransformersValues) {
  using namespace reference;
  const at::Tensor x = at::tensor(at::ArrayRef<double>(kRmsNormInput)).view({2, 5});
  const at::Tensor weight = at::tensor(at::ArrayRef<double>(kRmsNormWeight));
  const at::Tensor expected = at::tensor(at::ArrayRef<double>(kRmsNormOutput)).view({2, 5});
  expect_close(rms_norm(x.to(at::kFloat), weight.to(at::kFloat), kEps).to(at::kDouble), expected,
               1e-6, "output");
}

TEST(RmsNorm, TakesAnyLayout) {
  const at::Tensor wide = normal({6, 4, 20}, 1);
  const at::Tensor weight = normal({4}, 2);
  const at::Tensor turned = wide.transpose(1, 2);
  EXPECT_TRUE(
      at::equal(rms_norm(turned, weight, kEps), rms_norm(turned.contiguous(), weight, kEps)));
  const at::Tensor part = normal({9, 30}, 3).narrow(1, 5, 4);
  EXPECT_TRUE(at::equal(rms_norm(part, weight, kEps), rms_norm(part.contiguous(), weight, kEps)));
}

TEST(RmsNorm, EmptyInput) {
  const at::Tensor x = normal({0, 8}, 1).requires_grad_();
  const at::Tensor weight = normal({8}, 2).requires_grad_();
  const at::Tensor y = rms_norm(x, weight, kEps);
  EXPECT_EQ(y.sizes(), x.sizes());
  y.sum().backward();
  EXPECT_EQ(weight.grad().abs().sum().item<double>(), 0.0);
  EXPECT_EQ(rms_norm(normal({3, 0}, 1), normal({0}, 1), kEps).numel(), 0);
}

TEST(RmsNorm, LargeValuesStayFinite) {
  for (const at::ScalarType type : kTypes) {
    testing::expect_like_oracle(ours, oracle, {normal({5, 100}, 1, 1e4), normal({100}, 2)}, type);
  }
}

TEST(RmsNorm, NanStaysInItsRow) {
  at::Tensor x = normal({3, 20}, 1).to(at::kFloat);
  x[1][7] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor bad = at::isnan(rms_norm(x, at::ones({20}), kEps)).sum(-1);
  EXPECT_EQ(bad[0].item<std::int64_t>(), 0);
  EXPECT_EQ(bad[1].item<std::int64_t>(), 20);
  EXPECT_EQ(bad[2].item<std::int64_t>(), 0);
}

TEST(RmsNorm, WeightGradientIsTheSameForAnyNumberOfThreads) {
  const Tensors inputs{normal({1000, 65}, 1), normal({65}, 2)};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = testing::evaluate(ours, inputs, at::kFloat);
  at::set_num_threads(2);
  const auto two = testing::evaluate(ours, inputs, at::kFloat);
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one.gradients[1], two.gradients[1]));
  EXPECT_TRUE(at::equal(one.gradients[0], two.gradients[0]));
}

TEST(RmsNorm, FrozenInputsGetNoGradient) {
  const at::Tensor x = normal({4, 7}, 1).requires_grad_();
  const at::Tensor weight = normal({7}, 2);
  rms_norm(x, weight, kEps).sum().backward();
  EXPECT_TRUE(x.grad().defined());
  EXPECT_FALSE(weight.grad().defined());
  const c10::AutoGradMode no_graph(false);
  EXPECT_FALSE(rms_norm(x, weight, kEps).requires_grad());
}

TEST(RmsNorm, RefusesWhatDoesNotFit) {
  const at::Tensor x = normal({4, 7}, 1);
  const auto message = [&](const at::Tensor& a, const at::Tensor& w) -> std::string {
    try {
      rms_norm(a, w, kEps);
    } catch (const c10::Error& e) {
      return e.what_without_backtrace();
    }
    return "";
  };
  EXPECT_EQ(message(x, normal({6}, 1)),
            "rms_norm: `weight` is [6], expected [7] as the last dimension of `x`");
  EXPECT_EQ(message(x, normal({7}, 1).to(at::kFloat)),
            "rms_norm: `weight` is Float, expected Double as the first argument");
  EXPECT_EQ(message(x.to(at::kLong), normal({7}, 1)),
            "rms_norm: `x` is Long, expected Float, BFloat16 or Double");
  EXPECT_EQ(message({}, normal({7}, 1)), "rms_norm: `x` is undefined, expected a tensor");
}

TEST(RmsNorm, RefusesASecondDerivative) {
  const at::Tensor x = normal({4, 7}, 1).requires_grad_();
  const at::Tensor y = rms_norm(x, normal({7}, 2), kEps).square().sum();
  EXPECT_THROW(y.backward({}, std::nullopt, true), c10::Error);
}

}  // namespace
}  // namespace distill::ops
