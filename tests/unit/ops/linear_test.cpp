#include <distill/ops/linear.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

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

TEST(Linear, KeepsGradients) {
  for (const bool frozen : {false, true}) {
    const Operands of(2, 16, 8, at::kBFloat16);
    of.bias.requires_grad_(true);
    if (!frozen) of.weight.requires_grad_(true);
    const at::Tensor out = linear(of.x, of.weight, of.bias);
    ASSERT_TRUE(out.requires_grad());
    EXPECT_TRUE(at::equal(out, at::linear(of.x, of.weight, of.bias)));
    out.sum().backward();
    EXPECT_TRUE(of.bias.grad().defined());
    const c10::NoGradGuard no_graph;
    EXPECT_FALSE(linear(of.x, of.weight, of.bias).requires_grad());
  }
}

}  // namespace
}  // namespace distill::ops
