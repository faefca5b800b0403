#include <distill/ops/attention.h>

#include <limits>

#include <gtest/gtest.h>

#include <ATen/Context.h>
#include <ATen/ops/equal.h>

#include <distill/ops/device.h>

#include "support/on_cuda.h"

#include "attention_oracle.h"

namespace distill::ops {
namespace {

using namespace attention_test;

constexpr at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16, at::kDouble};
TEST(Attention, LikeFloat64) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    testing::expect_like_oracle(ours({0, 7}), oracle({0, 7}), inputs(7, 2, 2, 8), type);
    testing::expect_like_oracle(ours({0, 1, 6, 11, 12, 40}), oracle({0, 1, 6, 11, 12, 40}),
                                inputs(40, 6, 2, 16), type);
    testing::expect_like_oracle(ours({0, 70}), oracle({0, 70}), inputs(70, 9, 3, 64), type);
  }
}

TEST(Attention, WindowLikeFloat64) {
  const Segments segments{0, 1, 6, 11, 40};
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const std::int64_t window : {2, 5, 28, 29, 100}) {
      testing::expect_like_oracle(ours(segments, window), oracle(segments, window),
                                  inputs(40, 6, 2, 16), type);
    }
  }
}

TEST(Attention, ValuesOfAnotherSizeLikeFloat64) {
  const Segments segments{0, 13, 40};
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const std::int64_t window : {0, 9}) {
      testing::expect_like_oracle(ours(segments, window), oracle(segments, window),
                                  inputs(40, 4, 2, 24, 16), type);
      testing::expect_like_oracle(ours(segments, window), oracle(segments, window),
                                  inputs(40, 3, 3, 8, 32), type);
    }
  }
}

// The cases of ops/attention_sdpa.cpp: heads as they are and copied, windows, values of another
// size, segments of equal and of unequal length.
TEST(Attention, OnAGpuLikeFloat64) {
  if (const auto reason = why_no_cuda()) GTEST_SKIP() << *reason;
  const Segments equal{0, 35, 70}, unequal{0, 1, 13, 70};
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const Segments& segments : {equal, unequal}) {
      for (const std::int64_t window : {0, 9, 200}) {
        const auto check = [&](const Tensors& in) {
          testing::expect_like_oracle_on_cuda(ours(segments, window), oracle(segments, window), in,
                                              type);
        };
        check(inputs(70, 4, 4, 64));
        check(inputs(70, 9, 3, 64));
        check(inputs(70, 4, 2, 24, 16));
        check(inputs(70, 2, 1, 272));
      }
    }
  }
}

TEST(Attention, OnAGpuTwiceTheSameBits) {
  if (const auto reason = why_no_cuda()) GTEST_SKIP() << *reason;
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  const Segments segments{0, 300, 600};
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const auto once = [&] {
      return testing::evaluate(testing::on_cuda(ours(segments)), inputs(600, 6, 2, 64), type);
    };
    const auto first = once(), second = once();
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(at::equal(first.gradients[i], second.gradients[i])) << i;
    }
  }
  at::globalContext().setDeterministicAlgorithms(false, false);
}

TEST(Attention, GradientsLikeDifferences) {
  testing::expect_gradients_like_differences(ours({0, 3, 5}), inputs(5, 2, 1, 4));
  testing::expect_gradients_like_differences(ours({0, 1, 7}, 3), inputs(7, 4, 2, 4, 3));
}

TEST(Attention, PackedEqualsSeparate) {
  const Segments segments{0, 5, 10, 15, 16, 17, 40};
  for (const at::ScalarType type : kTypes) {
    Tensors in = inputs(40, 6, 2, 16);
    for (at::Tensor& x : in) x = x.to(type);
    const at::Tensor packed = packed_causal_attention(in[0], in[1], in[2], segments, {kScale});
    EXPECT_TRUE(packed.is_contiguous());
    for (std::size_t s = 1; s < segments.size(); ++s) {
      const std::int64_t begin = segments[s - 1];
      const std::int64_t length = segments[s] - begin;
      const at::Tensor alone =
          packed_causal_attention(in[0].narrow(0, begin, length), in[1].narrow(0, begin, length),
                                  in[2].narrow(0, begin, length), Segments{0, length}, {kScale});
      EXPECT_TRUE(at::equal(alone, packed.narrow(0, begin, length))) << s;
    }
  }
}

TEST(Attention, NothingCrossesABorderOrComesFromTheFuture) {
  Tensors in = inputs(12, 2, 1, 8);
  const Segments segments{0, 4, 12};
  const at::Tensor before = packed_causal_attention(in[0], in[1], in[2], segments, {kScale});
  in[1] = in[1].clone();
  in[2] = in[2].clone();
  in[1].narrow(0, 8, 4).fill_(50.0);
  in[2].narrow(0, 8, 4).fill_(1e4);
  in[2].narrow(0, 0, 4).fill_(std::numeric_limits<double>::quiet_NaN());
  const at::Tensor after = packed_causal_attention(in[0], in[1], in[2], segments, {kScale});
  EXPECT_TRUE(at::equal(before.narrow(0, 4, 4), after.narrow(0, 4, 4)));
  EXPECT_FALSE(at::equal(before.narrow(0, 8, 4), after.narrow(0, 8, 4)));
}

TEST(Attention, GroupedEqualsRepeatedHeads) {
  for (const at::ScalarType type : kTypes) {
    Tensors in = inputs(33, 6, 2, 16);
    for (at::Tensor& x : in) x = x.to(type);
    const at::Tensor grouped =
        packed_causal_attention(in[0], in[1], in[2], Segments{0, 33}, {kScale});
    const at::Tensor repeated =
        packed_causal_attention(in[0], in[1].repeat_interleave(3, 1), in[2].repeat_interleave(3, 1),
                                Segments{0, 33}, {kScale});
    EXPECT_TRUE(at::equal(grouped, repeated));
  }
}

TEST(Attention, ReadsSlicesOfAFusedProjection) {
  const at::Tensor fused = normal({20, 10 * 8}, 1).to(at::kFloat);
  const at::Tensor q = fused.narrow(1, 0, 48).view({20, 6, 8});
  const at::Tensor k = fused.narrow(1, 48, 16).view({20, 2, 8});
  const at::Tensor v = fused.narrow(1, 64, 16).view({20, 2, 8});
  const Segments segments{0, 5, 10, 20};
  EXPECT_TRUE(at::equal(
      packed_causal_attention(q, k, v, segments, {kScale}),
      packed_causal_attention(q.contiguous(), k.contiguous(), v.contiguous(), segments, {kScale})));
}

TEST(Attention, AWindowOfOneIsTheValue) {
  const Tensors in = inputs(20, 2, 2, 8);
  const at::Tensor out = packed_causal_attention(in[0], in[1], in[2], Segments{0, 20}, {kScale, 1});
  testing::expect_close(out, in[2], 1e-14, "value");
}

TEST(Attention, ASegmentOfOneIsItsValue) {
  const Tensors in = inputs(3, 2, 2, 8);
  const at::Tensor out =
      packed_causal_attention(in[0], in[1], in[2], Segments{0, 1, 2, 3}, {kScale});
  testing::expect_close(out, in[2], 1e-14, "value");
}

TEST(Attention, EmptyInputAndEmptySegments) {
  const at::Tensor none = normal({0, 4, 8}, 1).requires_grad_();
  const at::Tensor out = packed_causal_attention(none, none, none, Segments{0}, {kScale});
  EXPECT_EQ(out.sizes(), none.sizes());
  out.sum().backward();
  const at::Tensor values = normal({0, 2, 5}, 1);
  EXPECT_EQ(
      packed_causal_attention(none, none.narrow(1, 0, 2), values, Segments{0}, {kScale}).sizes(),
      at::IntArrayRef({0, 4, 5}));
  const Tensors in = inputs(6, 2, 2, 8);
  EXPECT_TRUE(
      at::equal(packed_causal_attention(in[0], in[1], in[2], Segments{0, 0, 2, 2, 6}, {kScale}),
                packed_causal_attention(in[0], in[1], in[2], Segments{0, 2, 6}, {kScale})));
}

TEST(Attention, RefusesWhatDoesNotFit) {
  const Tensors in = inputs(6, 4, 2, 8);
  const auto message = [&](const at::Tensor& k, const Segments& segments) -> std::string {
    try {
      packed_causal_attention(in[0], k, in[2], segments, {kScale});
    } catch (const c10::Error& e) {
      return e.what_without_backtrace();
    }
    return "";
  };
  EXPECT_EQ(message(in[1], {0, 5}),
            "packed_causal_attention: `segments` runs from 0 to 5, expected 0 to 6");
  EXPECT_EQ(message(in[1], {0, 4, 3, 6}),
            "packed_causal_attention: `segments` falls from 4 to 3 at entry 2");
  EXPECT_EQ(message(normal({6, 3, 8}, 1), {0, 6}),
            "packed_causal_attention: `k` is [6, 3, 8], expected [6, a divisor of 4, 8] for `q` "
            "[6, 4, 8]");
  EXPECT_NE(message(in[1], {}), "");
  const auto refusal = [&](const at::Tensor& v, const AttentionOptions& options) -> std::string {
    try {
      packed_causal_attention(in[0], in[1], v, Segments{0, 6}, options);
    } catch (const c10::Error& e) {
      return e.what_without_backtrace();
    }
    return "";
  };
  EXPECT_EQ(refusal(in[2], {kScale, -1}),
            "packed_causal_attention: `window` is -1, expected a number of keys, or 0 for all");
  EXPECT_EQ(refusal(in[2], {std::numeric_limits<double>::infinity()}),
            "packed_causal_attention: `scale` is inf, expected a finite number");
  EXPECT_EQ(refusal(normal({6, 1, 8}, 1), {kScale}),
            "packed_causal_attention: `v` is [6, 1, 8], expected [6, 2, Dv] for `k` [6, 2, 8]");
}

}  // namespace
}  // namespace distill::ops
