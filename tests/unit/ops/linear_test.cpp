#include <distill/ops/linear.h>

#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "ops/brgemm.h"
#include "support/op_check.h"
#include "support/tolerance.h"

namespace distill::ops {
namespace {

struct Operands {
  Operands(std::int64_t rows, std::int64_t in, std::int64_t out, at::ScalarType type)
      : x(testing::normal({rows, in}, 1).to(type)),
        weight(testing::normal({out, in}, 2).to(type)),
        bias(testing::normal({out}, 3).to(type)) {}
  at::Tensor x, weight, bias;
};

TEST(Linear, LikeFloat64) {
  const c10::InferenceMode generating;
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    for (const std::int64_t rows : {0, 1, 2, 4, 5, 40, 64, 65}) {
      for (const auto& [in, out] : {std::pair{1, 1}, {7, 300}, {576, 33}, {64, 64}}) {
        const Operands of(rows, in, out, type);
        for (const at::Tensor& bias : {of.bias, at::Tensor()}) {
          const at::Tensor exact = at::linear(of.x.to(at::kDouble), of.weight.to(at::kDouble),
                                              bias.defined() ? bias.to(at::kDouble) : bias);
          const at::Tensor got = linear(of.x, of.weight, bias);
          EXPECT_EQ(got.scalar_type(), type);
          ASSERT_EQ(got.sizes(), exact.sizes());
          if (rows > 0) {
            EXPECT_LE(testing::relative_error(got, exact), type == at::kBFloat16 ? 4e-3 : 1e-6);
          }
        }
      }
    }
  }
}

TEST(Linear, TakesRowsWithGapsAndOtherLayouts) {
  const c10::InferenceMode generating;
  const Operands of(18, 32, 20, at::kBFloat16);
  for (const at::Tensor& x : {of.x.slice(0, 0, 6, 2), of.x.slice(0, 0, 18, 2), of.x.slice(1, 4, 28),
                              of.x.slice(0, 0, 3).t().contiguous().t()}) {
    const at::Tensor weight = of.weight.slice(1, 0, x.size(1));
    EXPECT_LE(testing::relative_error(linear(x, weight, at::Tensor()),
                                      at::linear(x.to(at::kDouble), weight.to(at::kDouble))),
              4e-3);
  }
}

TEST(Linear, RoundsAlikeWithAndWithoutAGraph) {
  for (const std::int64_t rows : {1, 9, 40}) {
    const Operands of(rows, 1024, 300, at::kBFloat16);
    const at::Tensor trained = of.weight.clone().requires_grad_(true);
    const at::Tensor student = linear(of.x, trained, at::Tensor());
    const c10::NoGradGuard no_graph;
    EXPECT_TRUE(at::equal(student, linear(of.x, of.weight, at::Tensor()))) << rows;
  }
}

TEST(Linear, TakesRowsThatAreNotAlignedToPairs) {
  const c10::InferenceMode generating;
  const at::Tensor flat = testing::normal({1 + 5 * 32}, 4).to(at::kBFloat16);
  const at::Tensor x = flat.narrow(0, 1, 5 * 32).view({5, 32});
  const Operands of(1, 32, 20, at::kBFloat16);
  EXPECT_LE(testing::relative_error(linear(x, of.weight, at::Tensor()),
                                    at::linear(x.to(at::kDouble), of.weight.to(at::kDouble))),
            4e-3);
}

/// Gradients of sum(out * slope) with respect to x, weight and bias.
std::vector<at::Tensor> gradients(const Operands& of, const at::Tensor& slope, at::ScalarType type,
                                  bool own) {
  std::vector<at::Tensor> inputs;
  for (const at::Tensor& t : {of.x, of.weight, of.bias}) {
    inputs.push_back(t.to(type).clone().requires_grad_(true));
  }
  const at::Tensor out =
      own ? linear(inputs[0], inputs[1], inputs[2]) : at::linear(inputs[0], inputs[1], inputs[2]);
  (out * slope.to(type)).sum().backward();
  std::vector<at::Tensor> result;
  for (const at::Tensor& t : inputs) result.push_back(t.grad());
  return result;
}

TEST(Linear, ValuesAndGradientsLikeFloat64) {
  for (const std::int64_t rows : {1, 3, 31, 64, 65, 300, 700}) {
    for (const auto& [in, out] : {std::pair{2, 2}, {64, 130}, {130, 48}, {2304, 258}, {576, 192}}) {
      const Operands of(rows, in, out, at::kBFloat16);
      const at::Tensor slope = testing::normal({rows, out}, 5).to(at::kBFloat16);
      const at::Tensor exact_out =
          at::linear(of.x.to(at::kDouble), of.weight.to(at::kDouble), of.bias.to(at::kDouble));
      EXPECT_LE(testing::relative_error(linear(of.x, of.weight, of.bias), exact_out), 4e-3);
      const auto exact = gradients(of, slope, at::kDouble, false);
      const auto got = gradients(of, slope, at::kBFloat16, true);
      for (std::size_t i = 0; i < exact.size(); ++i) {
        EXPECT_EQ(got[i].scalar_type(), at::kBFloat16);
        EXPECT_LE(testing::relative_error(got[i], exact[i]), 4e-3)
            << rows << " x " << in << " -> " << out << ", input " << i;
      }
    }
  }
}

/// What stands beside a row changes nothing: packed rows give what separate ones give.
TEST(Linear, EachRowIsTheSameInAnyCompany) {
  if (!cpu_has_brgemm()) GTEST_SKIP() << "this CPU has no bf16 products";
  const Operands of(900, 2304, 194, at::kBFloat16);
  const at::Tensor all = linear(of.x, of.weight, of.bias);
  for (const auto& [first, count] :
       {std::pair{0, 1}, {17, 5}, {60, 16}, {899, 1}, {30, 200}, {250, 600}}) {
    EXPECT_TRUE(at::equal(all.narrow(0, first, count),
                          linear(of.x.narrow(0, first, count), of.weight, of.bias)))
        << first << ", " << count;
  }
}

TEST(Linear, SameBitsWithAnyNumberOfThreads) {
  const Operands of(900, 576, 770, at::kBFloat16);
  const at::Tensor slope = testing::normal({900, 770}, 5).to(at::kBFloat16);
  const int threads = at::get_num_threads();
  const auto with = [&](int count) {
    at::set_num_threads(count);
    auto result = gradients(of, slope, at::kBFloat16, true);
    result.push_back(linear(of.x, of.weight, of.bias));
    return result;
  };
  const auto one = with(1), three = with(3);
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], three[i])) << i;
}

TEST(Linear, GradientsOfWhatIsNotDense) {
  const Operands of(40, 36, 20, at::kBFloat16);
  const at::Tensor weight = testing::normal({20, 74}, 6).to(at::kBFloat16).narrow(1, 1, 36);
  const at::Tensor leaf = weight.requires_grad_(true), x = of.x.clone().requires_grad_(true);
  const at::Tensor out = linear(x, leaf, at::Tensor());
  out.sum().backward();  // its gradient is one number, expanded
  EXPECT_LE(testing::relative_error(x.grad(), weight.to(at::kDouble).sum(0, true).expand({40, 36})),
            4e-3);
  EXPECT_LE(
      testing::relative_error(leaf.grad(), of.x.to(at::kDouble).sum(0, true).expand({20, 36})),
      4e-3);
}

TEST(Linear, RefusesASecondDerivative) {
  if (!cpu_has_brgemm() && cpu_multiplies_bf16()) GTEST_SKIP() << "at::linear has one";
  const Operands of(40, 36, 20, at::kBFloat16);
  of.x.requires_grad_(true);
  const at::Tensor sum = linear(of.x, of.weight, at::Tensor()).sum();
  EXPECT_THROW(torch::autograd::grad({sum}, {of.x}, {}, std::nullopt, /*create_graph=*/true),
               c10::Error);
}

TEST(Linear, FrozenPartsGetNoGradient) {
  for (const bool frozen : {false, true}) {
    const Operands of(2, 16, 8, at::kBFloat16);
    of.bias.requires_grad_(true);
    if (!frozen) of.weight.requires_grad_(true);
    const at::Tensor out = linear(of.x, of.weight, of.bias);
    ASSERT_TRUE(out.requires_grad());
    out.sum().backward();
    EXPECT_TRUE(of.bias.grad().defined());
    EXPECT_EQ(of.weight.grad().defined(), !frozen);
    const c10::NoGradGuard no_graph;
    EXPECT_FALSE(linear(of.x, of.weight, of.bias).requires_grad());
  }
}

}  // namespace
}  // namespace distill::ops
