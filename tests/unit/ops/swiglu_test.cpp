#include <distill/ops/swiglu.h>

#include <limits>

#include <gtest/gtest.h>

#include <ATen/ops/equal.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>

#include "reference/ops_values.h"
#include "support/op_check.h"

namespace distill::ops {
namespace {

using testing::normal;
using testing::Tensors;

constexpr at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16, at::kDouble};

Tensors ours(const Tensors& in) {
  return {swiglu(in[0], in[1])};
}
Tensors oracle(const Tensors& in) {
  return {at::silu(in[0]) * in[1]};
}

TEST(Swiglu, LikeFloat64OnEveryWidth) {
  for (const at::ScalarType type : kTypes) {
    for (const std::int64_t width : {1, 5, 16, 47, 200}) {
      testing::expect_like_oracle(ours, oracle, {normal({9, width}, 1, 3.0), normal({9, width}, 2)},
                                  type);
    }
  }
}

TEST(Swiglu, GradientsLikeDifferences) {
  testing::expect_gradients_like_differences(ours, {normal({2, 3}, 1), normal({2, 3}, 2)});
}

TEST(Swiglu, ProducesTorchValues) {
  using namespace reference;
  const at::Tensor gate = at::tensor(at::ArrayRef<double>(kSwigluGate)).to(at::kFloat);
  const at::Tensor up = at::tensor(at::ArrayRef<double>(kSwigluUp)).to(at::kFloat);
  testing::expect_close(swiglu(gate, up).to(at::kDouble),
                        at::tensor(at::ArrayRef<double>(kSwigluOutput)), 1e-6, "output");
}

TEST(Swiglu, ReadsHalvesOfAFusedProjection) {
  const auto halves = [](const Tensors& in) -> Tensors {
    const auto parts = in[0].chunk(2, -1);
    return {swiglu(parts[0], parts[1])};
  };
  const auto halves_oracle = [](const Tensors& in) -> Tensors {
    const auto parts = in[0].chunk(2, -1);
    return {at::silu(parts[0]) * parts[1]};
  };
  for (const at::ScalarType type : kTypes) {
    testing::expect_like_oracle(halves, halves_oracle, {normal({7, 38}, 1)}, type);
    testing::expect_like_oracle(halves, halves_oracle, {normal({2, 3, 4, 38}, 1)}, type);
  }
}

TEST(Swiglu, TakesAnyLayout) {
  const at::Tensor gate = normal({6, 9}, 1).t();
  const at::Tensor up = normal({9, 6}, 2);
  EXPECT_TRUE(at::equal(swiglu(gate, up), swiglu(gate.contiguous(), up)));
  EXPECT_EQ(swiglu(normal({5}, 1), normal({5}, 2)).dim(), 1);
}

TEST(Swiglu, Extremes) {
  for (const at::ScalarType type : kTypes) {
    const at::Tensor gate = at::tensor({1e4, -1e4, 90.0, -90.0, 0.0}).to(type);
    const at::Tensor up = at::tensor({1.0, 1.0, 2.0, 2.0, 3.0}).to(type);
    testing::expect_like_oracle(ours, oracle, {gate.to(at::kDouble), up.to(at::kDouble)}, type);
  }
}

TEST(Swiglu, EmptyAndNan) {
  const at::Tensor empty = normal({0, 4}, 1).requires_grad_();
  swiglu(empty, empty).sum().backward();
  EXPECT_EQ(empty.grad().numel(), 0);
  EXPECT_EQ(swiglu(normal({4, 0}, 1), normal({4, 0}, 1)).sizes(), at::IntArrayRef({4, 0}));
  at::Tensor gate = normal({20}, 1).to(at::kFloat);
  gate[3] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor bad = at::isnan(swiglu(gate, normal({20}, 2).to(at::kFloat)));
  EXPECT_TRUE(bad[3].item<bool>());
  EXPECT_EQ(bad.sum().item<std::int64_t>(), 1);
}

TEST(Swiglu, OnlyTheWantedGradient) {
  const at::Tensor gate = normal({4, 7}, 1).requires_grad_();
  const at::Tensor up = normal({4, 7}, 2);
  swiglu(gate, up).sum().backward();
  EXPECT_TRUE(gate.grad().defined());
  EXPECT_FALSE(up.grad().defined());
}

TEST(Swiglu, RefusesWhatDoesNotFit) {
  try {
    swiglu(normal({2, 3}, 1), normal({2, 4}, 1));
    FAIL();
  } catch (const c10::Error& e) {
    EXPECT_STREQ(e.what_without_backtrace(), "swiglu: `up` is [2, 4], expected [2, 3] as `gate`");
  }
}

}  // namespace
}  // namespace distill::ops
