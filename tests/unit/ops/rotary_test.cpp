#include <distill/ops/rotary.h>

#include <gtest/gtest.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/tensor.h>

#include "reference/ops_values.h"
#include "support/op_check.h"

namespace distill::ops {
namespace {

using testing::normal;
using testing::Op;
using testing::Tensors;

constexpr at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16, at::kDouble};

/// cos and sin of random angles, rounded to fp32 as the op wants them.
struct Tables {
  at::Tensor cos;
  at::Tensor sin;
};
Tables tables(std::int64_t rows, std::int64_t half) {
  const at::Tensor angle = normal({rows, half}, 77, 3.0);
  return {angle.cos().to(at::kFloat), angle.sin().to(at::kFloat)};
}

Op ours(const Tables& t) {
  return [t](const Tensors& in) -> Tensors { return {rotary(in[0], t.cos, t.sin)}; };
}
Op oracle(const Tables& t) {
  return [t](const Tensors& in) -> Tensors {
    const at::Tensor cos = t.cos.unsqueeze(1).to(at::kDouble);
    const at::Tensor sin = t.sin.unsqueeze(1).to(at::kDouble);
    const auto halves = in[0].chunk(2, -1);
    return {at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)};
  };
}

TEST(Rotary, LikeFloat64OnEveryWidth) {
  for (const at::ScalarType type : kTypes) {
    for (const std::int64_t half : {1, 3, 16, 24, 32, 37}) {
      const Tables t = tables(11, half);
      testing::expect_like_oracle(ours(t), oracle(t), {normal({11, 3, 2 * half}, 1)}, type);
    }
  }
}

TEST(Rotary, GradientsLikeDifferences) {
  testing::expect_gradients_like_differences(ours(tables(3, 2)), {normal({3, 2, 4}, 1)});
}

TEST(Rotary, ProducesTransformersValues) {
  using namespace reference;
  const auto floats = [](at::ArrayRef<double> values, at::IntArrayRef shape) {
    return at::tensor(values).view(shape).to(at::kFloat);
  };
  const at::Tensor got = rotary(floats(kRotaryInput, {3, 2, 4}), floats(kRotaryCos, {3, 2}),
                                floats(kRotarySin, {3, 2}));
  testing::expect_close(got.to(at::kDouble),
                        at::tensor(at::ArrayRef<double>(kRotaryOutput)).view({3, 2, 4}), 1e-6,
                        "output");
}

TEST(Rotary, ReadsSlicesOfAFusedProjection) {
  const Tables t = tables(5, 4);
  for (const at::ScalarType type : kTypes) {
    const at::Tensor fused = normal({5, 40}, 1).to(type);
    const at::Tensor slice = fused.narrow(1, 8, 24).view({5, 3, 8});
    EXPECT_FALSE(slice.is_contiguous());
    const at::Tensor out = rotary(slice, t.cos, t.sin);
    EXPECT_TRUE(out.is_contiguous());
    EXPECT_TRUE(at::equal(out, rotary(slice.contiguous(), t.cos, t.sin)));
    const at::Tensor turned = normal({8, 3, 5}, 2).to(type).permute({2, 1, 0});
    EXPECT_TRUE(at::equal(rotary(turned, t.cos, t.sin), rotary(turned.contiguous(), t.cos, t.sin)));
  }
}

TEST(Rotary, KeepsLengths) {
  const Tables t = tables(6, 16);
  const at::Tensor x = normal({6, 2, 32}, 1, 1e4);
  testing::expect_close(rotary(x, t.cos, t.sin).norm(2, -1), x.norm(2, -1), 1e-6, "length");
}

TEST(Rotary, EmptyAndNan) {
  const Tables none = tables(0, 4);
  EXPECT_EQ(rotary(normal({0, 3, 8}, 1), none.cos, none.sin).numel(), 0);
  const Tables t = tables(2, 4);
  at::Tensor x = normal({2, 1, 8}, 1).to(at::kFloat);
  x[0][0][1] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor bad = at::isnan(rotary(x, t.cos, t.sin));
  EXPECT_TRUE(bad[0][0][1].item<bool>());
  EXPECT_TRUE(bad[0][0][5].item<bool>());
  EXPECT_EQ(bad.sum().item<std::int64_t>(), 2);
}

TEST(Rotary, RefusesWhatDoesNotFit) {
  const Tables t = tables(4, 3);
  const auto message = [&](const at::Tensor& x, const at::Tensor& cos) -> std::string {
    try {
      rotary(x, cos, t.sin);
    } catch (const c10::Error& e) {
      return e.what_without_backtrace();
    }
    return "";
  };
  EXPECT_EQ(message(normal({4, 2, 7}, 1), t.cos),
            "rotary: `x` is [4, 2, 7], expected [N, heads, D] with an even D");
  EXPECT_EQ(message(normal({4, 2, 8}, 1), t.cos),
            "rotary: `cos` is [4, 3], expected [4, 4] for `x` [4, 2, 8]");
  EXPECT_EQ(message(normal({4, 2, 6}, 1), t.cos.to(at::kBFloat16)),
            "rotary: `cos` is BFloat16, expected Float");
}

}  // namespace
}  // namespace distill::ops
