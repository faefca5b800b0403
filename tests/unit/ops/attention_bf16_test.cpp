#include <limits>
#include <string>

#include <gtest/gtest.h>

#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>

#include <distill/core/strict_sums.h>

#include "attention_oracle.h"

// The fused kernel, where the machine has it: bf16 with even sizes. Elsewhere the same tests check
// what stands in for it.
namespace distill::ops {
namespace {

using namespace attention_test;

/// Before the first product: what is not fused is formed by MKL.
[[maybe_unused]] const bool kStrictSums = core::request_strict_sums();

struct Case {
  std::string name;
  Segments segments;
  std::int64_t heads, kv_heads, size, value_size, window = 0;
};

Tensors bf16_inputs(const Case& c, double scale = 1.0) {
  Tensors in = inputs(c.segments.back(), c.heads, c.kv_heads, c.size, c.value_size);
  for (at::Tensor& x : in) x = (x * scale).to(at::kBFloat16);
  return in;
}

Tensors as_fp64(const Tensors& in) {
  Tensors out;
  for (const at::Tensor& x : in) out.push_back(x.to(at::kDouble));
  return out;
}

/// Probabilities and their gradients are rounded to bf16 between the products: four steps.
void expect_near(const at::Tensor& got, const at::Tensor& expected, double tolerance,
                 const std::string& what) {
  const at::Tensor error = got - expected;
  // A token alone has no gradient of its query and key.
  constexpr double kZero = 0.01;
  EXPECT_LT((error.norm() / (expected.norm() + kZero)).item<double>(), tolerance) << what;
  EXPECT_LT((error.abs().max() / (expected.abs().max() + kZero)).item<double>(), 2 * tolerance)
      << what;
}

class AttentionBf16 : public ::testing::TestWithParam<Case> {};

TEST_P(AttentionBf16, NearFloat64) {
  const Case& c = GetParam();
  const Tensors in = as_fp64(bf16_inputs(c));
  const auto got = testing::evaluate(ours(c.segments, c.window), in, at::kBFloat16);
  const auto expected = testing::evaluate(oracle(c.segments, c.window), in, at::kDouble);
  expect_near(got.outputs[0], expected.outputs[0], 0.006, "output");
  for (std::size_t i = 0; i < 3; ++i) {
    expect_near(got.gradients[i], expected.gradients[i], 0.013, "gradient " + std::to_string(i));
  }
}

/// Outputs and gradients, in the type of the inputs.
Tensors run(const Case& c, const Tensors& in, const at::Tensor& grad) {
  Tensors leaves;
  for (const at::Tensor& x : in) leaves.push_back(x.detach().clone().requires_grad_());
  const at::Tensor out =
      packed_causal_attention(leaves[0], leaves[1], leaves[2], c.segments, {kScale, c.window});
  out.backward(grad);
  return {out.detach(), leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
}

at::Tensor output_grad(const Case& c, at::ScalarType type) {
  return normal({c.segments.back(), c.heads, c.value_size}, 9).to(type);
}

TEST_P(AttentionBf16, PackedIsSeparateToTheBit) {
  const Case& c = GetParam();
  const Tensors in = bf16_inputs(c);
  const at::Tensor grad = output_grad(c, at::kBFloat16);
  const Tensors packed = run(c, in, grad);
  for (std::size_t s = 1; s < c.segments.size(); ++s) {
    const std::int64_t begin = c.segments[s - 1], length = c.segments[s] - begin;
    if (length == 0) continue;
    const auto part = [&](const at::Tensor& x) { return x.narrow(0, begin, length); };
    Case alone = c;
    alone.segments = {0, length};
    const Tensors separate = run(alone, {part(in[0]), part(in[1]), part(in[2])}, part(grad));
    for (std::size_t i = 0; i < packed.size(); ++i) {
      EXPECT_TRUE(at::equal(separate[i], part(packed[i]))) << "segment " << s << ", tensor " << i;
    }
  }
}

TEST_P(AttentionBf16, AnyNumberOfThreadsGivesTheSameBits) {
  const Case& c = GetParam();
  const int before = at::get_num_threads();
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
    Tensors in;
    for (const at::Tensor& x : bf16_inputs(c)) in.push_back(x.to(type));
    const at::Tensor grad = output_grad(c, type);
    at::set_num_threads(1);
    const Tensors one = run(c, in, grad);
    for (const int threads : {2, 3}) {
      at::set_num_threads(threads);
      const Tensors more = run(c, in, grad);
      for (std::size_t i = 0; i < one.size(); ++i) {
        EXPECT_TRUE(at::equal(one[i], more[i])) << type << ", tensor " << i;
      }
    }
  }
  at::set_num_threads(before);
}

TEST_P(AttentionBf16, WithoutAGraphGivesTheSameBits) {
  const Case& c = GetParam();
  const Tensors in = bf16_inputs(c);
  EXPECT_TRUE(
      at::equal(packed_causal_attention(in[0], in[1], in[2], c.segments, {kScale, c.window}),
                run(c, in, output_grad(c, at::kBFloat16))[0]));
}

const Case kCases[] = {
    {"OneToken", {0, 1}, 2, 1, 8, 8},
    {"Short", {0, 30, 70}, 9, 3, 64, 64},
    {"OddLengths", {0, 1, 4, 4, 37, 165, 300}, 6, 2, 32, 32},
    {"WholeBlocks", {0, 128, 384}, 3, 1, 16, 16},
    {"OneMoreThanABlock", {0, 129, 258}, 3, 3, 16, 16},
    {"ValuesSmaller", {0, 150, 333}, 4, 4, 48, 32},
    {"ValuesLarger", {0, 140}, 4, 2, 6, 20},
    {"ManyHeadsOfOneKey", {0, 10, 75}, 71, 1, 16, 16},
    {"Long", {0, 1100}, 2, 1, 16, 16},
    {"OddSizes", {0, 20, 45}, 4, 2, 7, 5},
    {"WindowOfTwo", {0, 150, 160}, 4, 2, 16, 16, 2},
    {"Window", {0, 5, 300, 700}, 4, 1, 16, 16, 100},
    {"WindowOverBlocks", {0, 600}, 2, 2, 16, 24, 200},
    {"LongWindow", {0, 1100}, 2, 1, 16, 16, 300},
};
INSTANTIATE_TEST_SUITE_P(Cases, AttentionBf16, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });

const Case kTwoSegments{"", {0, 40, 200}, 4, 2, 16, 16};

TEST(AttentionBf16Kernel, NothingLeaksFromAnotherSegment) {
  const Case& c = kTwoSegments;
  Tensors in = bf16_inputs(c);
  at::Tensor grad = output_grad(c, at::kBFloat16);
  const Tensors clean = run(c, in, grad);
  for (at::Tensor* x : {&in[0], &in[1], &in[2], &grad}) {
    *x = x->clone();
    x->narrow(0, 0, 40).fill_(std::numeric_limits<double>::quiet_NaN());
  }
  const Tensors dirty = run(c, in, grad);
  for (std::size_t i = 0; i < clean.size(); ++i) {
    EXPECT_TRUE(at::equal(clean[i].narrow(0, 40, 160), dirty[i].narrow(0, 40, 160))) << i;
    EXPECT_TRUE(dirty[i].narrow(0, 0, 40).isnan().all().item<bool>()) << i;
  }
}

TEST(AttentionBf16Kernel, LargeScoresStayFinite) {
  const Case& c = kTwoSegments;
  Tensors in = bf16_inputs(c);
  in[0] = in[0] * 200.0;
  in[1] = in[1] * 200.0;  // scores of about +-1e5
  const Tensors wide = as_fp64(in);
  const auto got = testing::evaluate(ours(c.segments), wide, at::kBFloat16);
  const auto expected = testing::evaluate(oracle(c.segments), wide, at::kDouble);
  expect_near(got.outputs[0], expected.outputs[0], 0.006, "output");
  expect_near(got.gradients[2], expected.gradients[2], 0.02, "gradient of v");
  for (const at::Tensor& x : got.gradients) EXPECT_TRUE(x.isfinite().all().item<bool>());
}

TEST(AttentionBf16Kernel, ANegativeScale) {
  const Case& c = kTwoSegments;
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
    Tensors in;
    for (const at::Tensor& x : bf16_inputs(c)) in.push_back(x.to(type));
    EXPECT_TRUE(
        at::equal(packed_causal_attention(in[0], in[1], in[2], c.segments, {-kScale}),
                  packed_causal_attention(in[0] * -1.0, in[1], in[2], c.segments, {kScale})))
        << type;
  }
}

TEST(AttentionBf16Kernel, ReadsSlicesOfAFusedProjection) {
  const Case& c = kTwoSegments;
  const at::Tensor grad = output_grad(c, at::kBFloat16);
  for (const std::int64_t offset : {0, 1}) {  // an odd one cannot be read in pairs
    const at::Tensor fused = normal({200, offset + 8 * 16}, 1).to(at::kBFloat16).requires_grad_();
    const auto slice = [&](std::int64_t first, std::int64_t heads) {
      return fused.narrow(1, offset + first * 16, heads * 16).view({200, heads, 16});
    };
    const at::Tensor out =
        packed_causal_attention(slice(0, 4), slice(4, 2), slice(6, 2), c.segments, {kScale});
    out.backward(grad);
    const Tensors dense = run(c, {slice(0, 4), slice(4, 2), slice(6, 2)}, grad);
    EXPECT_TRUE(at::equal(out, dense[0]));
    const at::Tensor got = fused.grad().narrow(1, offset, 8 * 16).view({200, 8, 16});
    EXPECT_TRUE(at::equal(got.narrow(1, 0, 4), dense[1]));
    EXPECT_TRUE(at::equal(got.narrow(1, 4, 2), dense[2]));
    EXPECT_TRUE(at::equal(got.narrow(1, 6, 2), dense[3]));
  }
}

TEST(AttentionBf16Kernel, TakesAnExpandedGradient) {
  const Case& c = kTwoSegments;
  const Tensors in = bf16_inputs(c);
  const at::Tensor one = at::full({1}, 0.5, at::kBFloat16);
  const Tensors got = run(c, in, one.expand({200, 4, 16}));
  const Tensors expected = run(c, in, one.expand({200, 4, 16}).contiguous());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::equal(got[i], expected[i])) << i;
}

TEST(AttentionBf16Kernel, SomeInputsMayBeFrozen) {
  const Case& c = kTwoSegments;
  const Tensors in = bf16_inputs(c);
  const at::Tensor grad = output_grad(c, at::kBFloat16);
  const at::Tensor q = in[0].clone().requires_grad_();
  packed_causal_attention(q, in[1], in[2], c.segments, {kScale}).backward(grad);
  EXPECT_TRUE(at::equal(q.grad(), run(c, in, grad)[1]));
}

}  // namespace
}  // namespace distill::ops
