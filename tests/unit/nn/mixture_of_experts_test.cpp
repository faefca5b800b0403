// The router and the experts against loops over tokens in fp64.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <distill/nn/mixture_of_experts.h>
#include <distill/ops/device.h>

#include "support/tensor_compare.h"

namespace distill::nn {
namespace {

using testing::relative_error;

constexpr std::int64_t kHidden = 10, kInner = 6, kExperts = 12;

SwigluMlp random_mlp(std::int64_t inner) {
  return {{at::randn({inner, kHidden}), {}},
          {at::randn({inner, kHidden}), {}},
          {at::randn({kHidden, inner}), {}}};
}

MixtureOfExperts random_mixture(const RouterOptions& options, bool correction, bool shared) {
  MixtureOfExperts mixture;
  mixture.router.options = options;
  mixture.router.weight = at::randn({kExperts, kHidden});
  if (correction) mixture.router.correction_bias = at::randn({kExperts});
  for (std::int64_t e = 0; e < kExperts; ++e) mixture.experts.push_back(random_mlp(kInner));
  if (shared) mixture.shared = random_mlp(2 * kInner);
  return mixture;
}

at::Tensor mlp_fp64(const SwigluMlp& mlp, const at::Tensor& x) {
  const auto product = [](const Linear& linear, const at::Tensor& input) {
    return at::matmul(input, linear.weight.detach().to(at::kDouble).t());
  };
  const at::Tensor gate = product(mlp.gate_proj, x);
  return product(mlp.down_proj, gate * at::sigmoid(gate) * product(mlp.up_proj, x));
}

std::vector<double> to_doubles(const at::Tensor& x) {
  const at::Tensor wide = x.detach().to(at::kDouble).contiguous();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

/// Indices of the `count` largest.
std::vector<std::size_t> best(const std::vector<double>& values, std::int64_t count) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  order.resize(static_cast<std::size_t>(count));
  return order;
}

/// The experts of one token by the words of the papers.
std::vector<std::size_t> choose(const RouterOptions& options, std::vector<double> scores) {
  const auto group = scores.size() / static_cast<std::size_t>(options.num_groups);
  std::vector<double> of_groups;
  for (std::size_t g = 0; g < scores.size(); g += group) {
    std::vector<double> own(scores.begin() + static_cast<std::ptrdiff_t>(g),
                            scores.begin() + static_cast<std::ptrdiff_t>(g + group));
    std::sort(own.rbegin(), own.rend());
    of_groups.push_back(options.group_score == GroupScore::kMaximum ? own[0] : own[0] + own[1]);
  }
  const auto kept = best(of_groups, options.groups_per_token);
  for (std::size_t e = 0; e < scores.size(); ++e) {
    if (std::find(kept.begin(), kept.end(), e / group) == kept.end()) scores[e] = -1e30;
  }
  return best(scores, options.experts_per_token);
}

at::Tensor mixture_fp64(const MixtureOfExperts& mixture, const at::Tensor& x) {
  const RouterOptions& options = mixture.router.options;
  const at::Tensor wide = x.detach().to(at::kDouble);
  const at::Tensor logits = at::matmul(wide, mixture.router.weight.detach().to(at::kDouble).t());
  const at::Tensor scores =
      options.score == RouterScore::kSigmoid ? at::sigmoid(logits) : at::softmax(logits, 1);
  at::Tensor result = at::zeros({x.size(0), kHidden}, at::kDouble);
  for (std::int64_t n = 0; n < x.size(0); ++n) {
    const auto own = to_doubles(scores[n]);
    auto for_choice = own;
    if (mixture.router.correction_bias.defined()) {
      const auto bias = to_doubles(mixture.router.correction_bias);
      for (std::size_t e = 0; e < own.size(); ++e) for_choice[e] += bias[e];
    }
    const auto chosen = choose(options, for_choice);
    double sum = 0;
    for (const std::size_t e : chosen) sum += own[e];
    for (const std::size_t e : chosen) {
      const double weight = own[e] / (options.normalise ? sum : 1.0) * options.scaling;
      result[n] += weight * mlp_fp64(mixture.experts[e], wide[n]);
    }
    if (mixture.shared) result[n] += mlp_fp64(*mixture.shared, wide[n]);
  }
  return result;
}

struct Case {
  std::string name;
  RouterOptions options;
  bool correction = false;
  bool shared = false;
};

class Mixture : public ::testing::TestWithParam<Case> {};

TEST_P(Mixture, MatchesTheFormula) {
  const auto& [name, options, correction, shared] = GetParam();
  const MixtureOfExperts mixture = random_mixture(options, correction, shared);
  for (const std::int64_t tokens : {1, 5, 90}) {
    const at::Tensor x = at::randn({tokens, kHidden});
    EXPECT_LT(relative_error(mixture(x), mixture_fp64(mixture, x)), 3e-6) << tokens;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Mixture,
    ::testing::Values(
        Case{"Softmax", {.experts_per_token = 3}},
        Case{"Normalised", {.experts_per_token = 2, .normalise = true}, false, true},
        Case{"Groups",
             {.experts_per_token = 3, .num_groups = 4, .groups_per_token = 2, .scaling = 1.5}},
        Case{"DeepSeekV3",
             {.score = RouterScore::kSigmoid,
              .experts_per_token = 4,
              .num_groups = 4,
              .groups_per_token = 2,
              .group_score = GroupScore::kSumOfTwoBest,
              .normalise = true,
              .scaling = 2.5},
             true,
             true},
        Case{"AllExperts", {.experts_per_token = kExperts}}),
    [](const auto& tested) { return tested.param.name; });

void move_to_gpu(SwigluMlp& mlp) {
  for (Linear* linear : {&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj}) {
    linear->weight = linear->weight.to(at::kCUDA);
  }
}

TEST(MixtureOfExperts, OnAGpuMatchesTheFormula) {
  if (const auto reason = ops::why_no_cuda()) GTEST_SKIP() << *reason;
  const MixtureOfExperts mixture =
      random_mixture({.experts_per_token = 3, .normalise = true}, true, true);
  MixtureOfExperts moved = mixture;
  moved.router.weight = moved.router.weight.to(at::kCUDA);
  moved.router.correction_bias = moved.router.correction_bias.to(at::kCUDA);
  for (SwigluMlp& expert : moved.experts) move_to_gpu(expert);
  move_to_gpu(*moved.shared);
  for (const std::int64_t tokens : {1, 5, 90}) {
    const at::Tensor x = at::randn({tokens, kHidden});
    EXPECT_LT(relative_error(moved(x.to(at::kCUDA)).cpu(), mixture_fp64(mixture, x)), 1e-5)
        << tokens;
  }
}

TEST(MixtureOfExperts, TakesNoTokens) {
  const MixtureOfExperts mixture = random_mixture({.experts_per_token = 2}, false, true);
  EXPECT_EQ(mixture(at::zeros({0, kHidden})).sizes(), at::IntArrayRef({0, kHidden}));
}

TEST(MixtureOfExperts, EachTokenIsOnItsOwn) {
  const MixtureOfExperts mixture = random_mixture({.experts_per_token = 3}, false, false);
  const at::Tensor x = at::randn({40, kHidden}), all = mixture(x);
  for (const std::int64_t n : {0, 17, 39}) {
    EXPECT_LT(relative_error(mixture(x.narrow(0, n, 1)), all.narrow(0, n, 1)), 1e-6);
  }
}

/// d loss / d tensor[i, j] by central differences of the fp64 formula.
double slope(const MixtureOfExperts& mixture, const at::Tensor& x, at::Tensor moved,
             const at::Tensor& direction) {
  constexpr double kStep = 1.0 / 1024;  // exact in fp32
  const auto value = [&] { return (mixture_fp64(mixture, x) * direction).sum().item<double>(); };
  const at::Tensor middle = moved.detach()[0][0].clone();
  moved.detach()[0][0] += kStep;
  const double above = value();
  moved.detach()[0][0].copy_(middle).sub_(kStep);
  const double below = value();
  moved.detach()[0][0].copy_(middle);
  return (above - below) / (2 * kStep);
}

TEST(MixtureOfExperts, GradientsAreSlopes) {
  MixtureOfExperts mixture = random_mixture(
      {.score = RouterScore::kSigmoid, .experts_per_token = 6, .normalise = true, .scaling = 2.0},
      true, true);
  // Far apart, so that a small step changes no choice.
  mixture.router.correction_bias = at::randn({kExperts}) * 100;
  at::Tensor x = at::randn({30, kHidden});
  const at::Tensor direction = at::randn({30, kHidden}, at::kDouble);
  const at::Tensor chosen = mixture.router(x).experts;
  const auto used = static_cast<std::size_t>(chosen[0][0].item<std::int64_t>());
  SwigluMlp& expert = mixture.experts[used];
  const std::vector<at::Tensor> tensors = {x,
                                           mixture.router.weight,
                                           expert.gate_proj.weight,
                                           expert.up_proj.weight,
                                           expert.down_proj.weight,
                                           mixture.shared->up_proj.weight};
  for (at::Tensor tensor : tensors) tensor.requires_grad_();
  (mixture(x).to(at::kDouble) * direction).sum().backward();
  for (const at::Tensor& tensor : tensors) {
    const double expected = slope(mixture, x, tensor, direction);
    EXPECT_NEAR(tensor.grad()[0][0].item<double>(), expected, 2e-3 * (1 + std::abs(expected)));
  }
}

TEST(MixtureOfExperts, FrozenAndUnusedExpertsGetNoGradient) {
  MixtureOfExperts mixture = random_mixture({.experts_per_token = 2}, false, false);
  const at::Tensor x = at::randn({3, kHidden});
  const at::Tensor chosen = mixture.router(x).experts.contiguous();
  const auto* first = chosen.const_data_ptr<std::int64_t>();
  const std::set<std::int64_t> used(first, first + chosen.numel());
  ASSERT_LT(used.size(), static_cast<std::size_t>(kExperts));
  const std::int64_t frozen = *used.begin();
  mixture.router.weight.requires_grad_();
  for (std::int64_t e = 0; e < kExperts; ++e) {
    mixture.experts[static_cast<std::size_t>(e)].up_proj.weight.requires_grad_(e != frozen);
  }
  mixture(x).sum().backward();
  EXPECT_TRUE(mixture.router.weight.grad().defined());
  for (std::int64_t e = 0; e < kExperts; ++e) {
    const at::Tensor& weight = mixture.experts[static_cast<std::size_t>(e)].up_proj.weight;
    EXPECT_EQ(weight.grad().defined(), used.contains(e) && e != frozen) << e;
  }
}

TEST(MixtureOfExperts, Bf16SumsInFp32) {
  MixtureOfExperts mixture = random_mixture({.experts_per_token = 3}, false, true);
  mixture.router.weight = mixture.router.weight.to(at::kBFloat16);
  mixture.experts.push_back(*mixture.shared);
  for (SwigluMlp& mlp : mixture.experts) {
    for (Linear* linear : {&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj}) {
      linear->weight = linear->weight.to(at::kBFloat16);
    }
  }
  mixture.shared = mixture.experts.back();
  mixture.experts.pop_back();
  const at::Tensor x = at::randn({50, kHidden}).to(at::kBFloat16), y = mixture(x);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_LT(relative_error(y, mixture_fp64(mixture, x)), 0.01);
}

}  // namespace
}  // namespace distill::nn
