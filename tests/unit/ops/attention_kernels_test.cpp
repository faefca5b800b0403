#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ops/cpu/isa.h"

// The row kernels of attention on each instruction set this machine has, against doubles.
namespace distill::ops::cpu {
namespace {

constexpr std::int64_t kStride = 48;

double widen(Bf16 x) {
  return std::bit_cast<float>(std::uint32_t{x.bits} << 16);
}
std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}
std::vector<float> wave(std::int64_t n, double seed, double scale) {
  std::vector<float> x;
  for (std::int64_t i = 0; i < n; ++i) {
    x.push_back(static_cast<float>(scale * std::sin(seed + 1.7 * static_cast<double>(i))));
  }
  return x;
}
std::vector<Bf16> to_bf16(const std::vector<float>& x) {
  std::vector<Bf16> out(x.size());
  kernels_for(Isa::kPortable).to_bf16(x.data(), out.data(), std::ssize(x));
  return out;
}
bool sees(const CausalRows& seen, std::int64_t row, std::int64_t column) {
  const std::int64_t token = seen.first_token + row / seen.group;
  return column <= token && (seen.window == 0 || column > token - seen.window);
}

struct Case {
  std::int64_t columns;
  CausalRows seen;
};
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::int64_t columns : {16, 32, 48}) {
    for (const std::int64_t first_token : {-3, 0, 5, 14, 15, 16, 33, 60}) {
      for (const std::int64_t window : {0, 1, 2, 20, 100}) {
        for (const std::int64_t group : {1, 3})
          all.push_back({columns, {first_token, group, window}});
      }
    }
  }
  return all;
}

class AttentionRowKernels : public ::testing::TestWithParam<Isa> {
 protected:
  const AttentionKernels& kernels() const { return kernels_for(GetParam()).attention; }
};

TEST_P(AttentionRowKernels, SoftmaxOfTwoBlocks) {
  constexpr std::int64_t kRows = 7, kValues = 19;
  constexpr float kScale = 0.7F;
  for (const auto& [columns, seen] : cases()) {
    const auto scores = wave(kRows * kStride, 1, 9);
    std::vector<float> maxima(kRows), sums(kRows), output = wave(kRows * kValues, 2, 1);
    std::vector<double> before(kRows);
    for (std::int64_t row = 0; row < kRows; ++row) {
      before[index(row)] = row % 3 == 0 ? -std::numeric_limits<double>::infinity() : 3.0 - row;
      maxima[index(row)] = static_cast<float>(before[index(row)]);
      sums[index(row)] = row % 3 == 0 ? 0.0F : 1.5F;
    }
    const auto old_sums = sums;
    const auto old_output = output;
    std::vector<Bf16> probabilities(kRows * kStride, Bf16{0x7fff});
    kernels().softmax({scores.data(), kStride, kRows, columns, seen, kScale, maxima.data(),
                       sums.data(), output.data(), probabilities.data(), kValues});
    for (std::int64_t row = 0; row < kRows; ++row) {
      double maximum = before[index(row)];
      for (std::int64_t i = 0; i < columns; ++i) {
        if (sees(seen, row, i))
          maximum = std::max(maximum, double{kScale * scores[index(row * kStride + i)]});
      }
      ASSERT_EQ(maxima[index(row)], static_cast<float>(maximum));
      const double factor = std::isinf(maximum) ? 1.0 : std::exp2(before[index(row)] - maximum);
      double sum = old_sums[index(row)] * factor;
      for (std::int64_t i = 0; i < columns; ++i) {
        const std::size_t at = index(row * kStride + i);
        const double p =
            sees(seen, row, i) ? std::exp2(double{kScale} * scores[at] - maximum) : 0.0;
        sum += p;
        ASSERT_NEAR(widen(probabilities[at]), p, 4e-3 * p) << columns << " " << row << " " << i;
      }
      ASSERT_NEAR(sums[index(row)], sum, 1e-5 * sum);
      for (std::int64_t i = 0; i < kValues; ++i) {
        const std::size_t at = index(row * kValues + i);
        ASSERT_NEAR(output[at], old_output[at] * factor, 1e-5);
      }
      if (columns < kStride) {
        ASSERT_EQ(probabilities[index(row * kStride + columns)].bits, 0x7fff);
      }
    }
  }
}

TEST_P(AttentionRowKernels, GradientOfABlock) {
  constexpr std::int64_t kRows = 8, kReal = 7;
  constexpr float kScale = 0.7F;
  for (const auto& [columns, seen] : cases()) {
    auto scores = wave(kRows * kStride, 1, 3);
    const auto prob_grads = wave(kRows * kStride, 2, 1);
    const auto log_sums = wave(kRows, 3, 1);
    const auto deltas = wave(kRows, 4, 1);
    for (std::int64_t i = 0; i < kRows * kStride; ++i) {  // unseen scores may be anything
      if (!sees(seen, i / kStride, i % kStride)) scores[index(i)] = i % 2 ? 1e30F : std::nanf("");
    }
    std::vector<Bf16> grads(kRows * kStride), grad_pairs(grads), prob_pairs(grads);
    kernels().grad({scores.data(), prob_grads.data(), kStride, kRows, columns, seen, kReal, kScale,
                    log_sums.data(), deltas.data(), grads.data(), grad_pairs.data(),
                    prob_pairs.data()});
    for (std::int64_t row = 0; row < kRows; ++row) {
      for (std::int64_t i = 0; i < columns; ++i) {
        const std::size_t at = index(row * kStride + i);
        const std::size_t pair = index((row / 2 * kStride + i) * 2 + row % 2);
        const bool counts = row < kReal && sees(seen, row, i);
        const double p =
            counts ? std::exp2(double{kScale} * scores[at] - log_sums[index(row)]) : 0.0;
        const double grad = p * (double{prob_grads[at]} - deltas[index(row)]);
        ASSERT_NEAR(widen(prob_pairs[pair]), p, 4e-3 * p) << columns << " " << row << " " << i;
        ASSERT_NEAR(widen(grads[at]), grad, 4e-3 * std::abs(grad) + 1e-6);
        ASSERT_EQ(grads[at].bits, grad_pairs[pair].bits);
      }
    }
  }
}

TEST_P(AttentionRowKernels, TheSmallOnes) {
  for (const std::int64_t n : {1, 2, 7, 16, 17, 40, 64}) {
    const auto x = wave(n, 1, 2);
    std::vector<Bf16> scaled(index(n));
    kernels().scale_to_bf16(x.data(), -0.3F, scaled.data(), n);
    auto sum = wave(n, 2, 2);
    const auto before = sum;
    kernels().add_scaled(x.data(), -0.3F, sum.data(), n);
    const auto a = to_bf16(x), b = to_bf16(before);
    double dot = 0;
    for (std::size_t i = 0; i < index(n); ++i) {
      ASSERT_NEAR(widen(scaled[i]), -0.3 * x[i], 3e-3);
      ASSERT_NEAR(sum[i], before[i] - 0.3 * x[i], 1e-6);
      dot += widen(a[i]) * widen(b[i]);
    }
    EXPECT_NEAR(kernels().dot(a.data(), b.data(), n), dot, 1e-4);
    const auto pairs = to_bf16(wave(2 * n, 3, 1));
    std::vector<Bf16> even(index(n)), odd(index(n));
    kernels().split_pairs(pairs.data(), even.data(), odd.data(), n);
    for (std::size_t i = 0; i < index(n); ++i) {
      ASSERT_EQ(even[i].bits, pairs[2 * i].bits);
      ASSERT_EQ(odd[i].bits, pairs[2 * i + 1].bits);
    }
  }
}

TEST_P(AttentionRowKernels, NanIsKept) {
  std::vector<float> scores(16, 1.0F);
  scores[3] = std::numeric_limits<float>::quiet_NaN();
  float maximum = -std::numeric_limits<float>::infinity(), sum = 0;
  std::vector<Bf16> probabilities(16);
  kernels().softmax({scores.data(),
                     16,
                     1,
                     16,
                     {15, 1, 0},
                     1.0F,
                     &maximum,
                     &sum,
                     nullptr,
                     probabilities.data(),
                     0});
  EXPECT_TRUE(std::isnan(sum));
  EXPECT_TRUE(std::isnan(widen(probabilities[3])));
}

std::string isa_name(const ::testing::TestParamInfo<Isa>& info) {
  constexpr const char* kNames[] = {"Portable", "Avx2", "Avx512"};
  return kNames[static_cast<int>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Isas, AttentionRowKernels, ::testing::ValuesIn(supported_isas()),
                         isa_name);

}  // namespace
}  // namespace distill::ops::cpu
