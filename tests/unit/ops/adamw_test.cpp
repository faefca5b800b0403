#include <distill/ops/adamw.h>

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "reference/ops_values.h"
#include "support/op_check.h"

namespace distill::ops {
namespace {

using testing::expect_close;
using testing::normal;

struct State {
  at::Tensor master;
  at::Tensor exp_avg;
  at::Tensor exp_avg_sq;
  at::Tensor compute;
};

State fresh(const at::Tensor& start) {
  const at::Tensor master = start.to(at::kFloat, false, true);
  return {master, at::zeros(start.sizes()), at::zeros(start.sizes()), master.to(at::kBFloat16)};
}

AdamWStep options_at(std::int64_t step) {
  return {.lr = 0.01,
          .beta1 = 0.9,
          .beta2 = 0.95,
          .eps = 1e-8,
          .weight_decay = 0.1,
          .gradient_scale = 1.0,
          .step = step};
}

/// The update as in the paper, in double.
struct Plain {
  std::vector<double> weight, m, v;
  void step(const at::Tensor& gradient, const AdamWStep& o) {
    for (std::size_t i = 0; i < weight.size(); ++i) {
      const double g = gradient[static_cast<std::int64_t>(i)].item<double>() * o.gradient_scale;
      m[i] = o.beta1 * m[i] + (1 - o.beta1) * g;
      v[i] = o.beta2 * v[i] + (1 - o.beta2) * g * g;
      const double m_hat = m[i] / (1 - std::pow(o.beta1, double(o.step)));
      const double v_hat = v[i] / (1 - std::pow(o.beta2, double(o.step)));
      weight[i] -= o.lr * (m_hat / (std::sqrt(v_hat) + o.eps) + o.weight_decay * weight[i]);
    }
  }
};

TEST(AdamW, LikeDoubleOverTenSteps) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor start = normal({77}, 1).to(at::kFloat);
    State state = fresh(start);
    Plain plain{std::vector<double>(77), std::vector<double>(77), std::vector<double>(77)};
    for (std::int64_t i = 0; i < 77; ++i)
      plain.weight[static_cast<std::size_t>(i)] = start[i].item<double>();
    for (std::int64_t step = 1; step <= 10; ++step) {
      const at::Tensor gradient = normal({77}, 100 + static_cast<std::uint64_t>(step)).to(type);
      AdamWStep options = options_at(step);
      options.gradient_scale = 0.25;
      adamw_step_(state.master, state.compute, gradient, state.exp_avg, state.exp_avg_sq, options);
      plain.step(gradient, options);
    }
    expect_close(state.master.to(at::kDouble), at::tensor(plain.weight), 2e-6, "weight");
    expect_close(state.exp_avg.to(at::kDouble), at::tensor(plain.m), 2e-6, "first moment");
    expect_close(state.exp_avg_sq.to(at::kDouble), at::tensor(plain.v), 2e-6, "second moment");
    EXPECT_TRUE(at::equal(state.compute, state.master.to(at::kBFloat16)));
  }
}

TEST(AdamW, ProducesTorchValues) {
  using namespace reference;
  const auto doubles = [](at::ArrayRef<double> values) { return at::tensor(values); };
  State state = fresh(doubles(kAdamWStart));
  const at::Tensor gradients = doubles(kAdamWGradients).view({10, 8}).to(at::kFloat);
  for (std::int64_t step = 1; step <= 10; ++step) {
    adamw_step_(state.master, {}, gradients[step - 1], state.exp_avg, state.exp_avg_sq,
                options_at(step));
  }
  expect_close(state.master.to(at::kDouble), doubles(kAdamWEnd), 1e-6, "weight");
  expect_close(state.exp_avg.to(at::kDouble), doubles(kAdamWExpAvg), 1e-6, "first moment");
  expect_close(state.exp_avg_sq.to(at::kDouble), doubles(kAdamWExpAvgSq), 1e-6, "second moment");
}

TEST(AdamW, TheSameForAnyNumberOfThreads) {
  const at::Tensor start = normal({100003}, 1);
  const at::Tensor gradient = normal({100003}, 2).to(at::kBFloat16);
  const int threads = at::get_num_threads();
  State states[2] = {fresh(start), fresh(start)};
  for (int i = 0; i < 2; ++i) {
    at::set_num_threads(i + 1);
    adamw_step_(states[i].master, states[i].compute, gradient, states[i].exp_avg,
                states[i].exp_avg_sq, options_at(1));
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(states[0].master, states[1].master));
  EXPECT_TRUE(at::equal(states[0].exp_avg_sq, states[1].exp_avg_sq));
}

TEST(AdamW, AutogradSeesTheChange) {
  State state = fresh(normal({4}, 1));
  const auto before = state.master._version();
  adamw_step_(state.master, {}, normal({4}, 2).to(at::kFloat), state.exp_avg, state.exp_avg_sq,
              options_at(1));
  EXPECT_GT(state.master._version(), before);
}

TEST(AdamW, RefusesWhatDoesNotFit) {
  State state = fresh(normal({4, 3}, 1));
  const auto message = [&](const at::Tensor& compute, const at::Tensor& gradient,
                           std::int64_t step) -> std::string {
    try {
      adamw_step_(state.master, compute, gradient, state.exp_avg, state.exp_avg_sq,
                  options_at(step));
    } catch (const c10::Error& e) {
      return e.what_without_backtrace();
    }
    return "";
  };
  const at::Tensor gradient = normal({4, 3}, 2).to(at::kFloat);
  EXPECT_EQ(message({}, gradient, 1), "");
  EXPECT_EQ(message({}, gradient, 0), "adamw_step_: `step` is 0, expected 1 or more");
  EXPECT_EQ(message({}, gradient.t(), 1),
            "adamw_step_: `gradient` is [3, 4], expected [4, 3] as `master`");
  EXPECT_EQ(message(state.master, gradient, 1),
            "adamw_step_: `compute` is Float, expected BFloat16");
  EXPECT_EQ(message({}, gradient.to(at::kDouble), 1),
            "adamw_step_: `gradient` is Double, expected Float");
}

TEST(SumOfSquares, LikeDouble) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t n : {0, 1, 15, 16, 33, 100001}) {
      const at::Tensor x = normal({n}, 1, 1e4).to(type);
      const double expected = x.to(at::kDouble).square().sum().item<double>();
      EXPECT_NEAR(sum_of_squares(x), expected, 1e-13 * expected) << n;
    }
  }
  EXPECT_DOUBLE_EQ(sum_of_squares(normal({5, 7}, 1).to(at::kFloat).t()),
                   sum_of_squares(normal({5, 7}, 1).to(at::kFloat).t().contiguous()));
}

TEST(SumOfSquares, DoesNotOverflowInFloat) {
  const at::Tensor x = at::zeros({3}) + 1e30;
  EXPECT_NEAR(sum_of_squares(x), 3e60, 1e54);
  EXPECT_TRUE(std::isnan(sum_of_squares(x * std::numeric_limits<double>::quiet_NaN())));
}

TEST(SumOfSquares, TheSameForAnyNumberOfThreads) {
  const at::Tensor x = normal({300007}, 1).to(at::kFloat);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const double one = sum_of_squares(x);
  at::set_num_threads(2);
  const double two = sum_of_squares(x);
  at::set_num_threads(threads);
  EXPECT_EQ(one, two);
}

}  // namespace
}  // namespace distill::ops
