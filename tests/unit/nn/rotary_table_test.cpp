#include <cmath>
#include <numbers>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <distill/nn/rotary_table.h>

namespace distill::nn {
namespace {

double at_index(const at::Tensor& x, std::int64_t i) {
  return x[i].item<double>();
}

TEST(InverseFrequencies, DefaultIsAGeometricSeries) {
  const at::Tensor f = inverse_frequencies(64, {.theta = 100000.0});
  ASSERT_EQ(f.numel(), 32);
  EXPECT_EQ(f.scalar_type(), at::kDouble);
  for (int i = 0; i < 32; ++i) EXPECT_NEAR(at_index(f, i), std::pow(100000.0, -i / 32.0), 1e-15);
}

TEST(InverseFrequencies, LinearDividesAll) {
  const at::Tensor plain = inverse_frequencies(16, {});
  const at::Tensor stretched = inverse_frequencies(16, {.type = RopeType::kLinear, .factor = 4.0});
  for (int i = 0; i < 8; ++i) EXPECT_DOUBLE_EQ(at_index(stretched, i), at_index(plain, i) / 4.0);
}

TEST(InverseFrequencies, Llama3KeepsHighDividesLowAndBlendsBetween) {
  const RopeOptions options{.type = RopeType::kLlama3,
                            .theta = 500000.0,
                            .factor = 8.0,
                            .low_freq_factor = 1.0,
                            .high_freq_factor = 4.0,
                            .original_positions = 8192.0};
  const at::Tensor plain = inverse_frequencies(128, {.theta = 500000.0});
  const at::Tensor f = inverse_frequencies(128, options);
  int kept = 0, divided = 0, blended = 0;
  for (int i = 0; i < 64; ++i) {
    const double wavelength = 2 * std::numbers::pi / at_index(plain, i);
    const double ratio = at_index(f, i) / at_index(plain, i);
    if (wavelength < 8192.0 / 4.0) {
      EXPECT_DOUBLE_EQ(ratio, 1.0);
      ++kept;
    } else if (wavelength > 8192.0 / 1.0) {
      EXPECT_DOUBLE_EQ(ratio, 1.0 / 8.0);
      ++divided;
    } else {
      const double smooth = (8192.0 / wavelength - 1.0) / (4.0 - 1.0);
      EXPECT_NEAR(ratio, (1 - smooth) / 8.0 + smooth, 1e-12);
      ++blended;
    }
    if (i > 0) {
      EXPECT_LT(at_index(f, i), at_index(f, i - 1));
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(divided, 0);
  EXPECT_GT(blended, 0);
}

TEST(InverseFrequencies, DynamicStretchesOnlyLongerSequences) {
  const RopeOptions options{
      .type = RopeType::kDynamic, .theta = 10000.0, .factor = 4.0, .original_positions = 64.0};
  const at::Tensor plain = inverse_frequencies(16, {});
  for (const std::int64_t length : {0, 1, 64}) {
    EXPECT_TRUE(inverse_frequencies(16, options, length).equal(plain)) << length;
  }
  const at::Tensor f = inverse_frequencies(16, options, 160);
  const double theta = 10000.0 * std::pow(4.0 * 160 / 64 - 3.0, 16.0 / 14.0);
  for (int i = 0; i < 8; ++i) EXPECT_NEAR(at_index(f, i), std::pow(theta, -i / 8.0), 1e-12);
  // The lowest frequency turns as far at the stretched end as it did at the old one.
  EXPECT_NEAR(at_index(f, 7) / at_index(plain, 7), 1.0 / 7.0, 1e-12);
}

TEST(InverseFrequencies, YarnKeepsHighDividesLowAndBlendsBetween) {
  const RopeOptions options{
      .type = RopeType::kYarn, .theta = 10000.0, .factor = 40.0, .original_positions = 4096.0};
  const at::Tensor plain = inverse_frequencies(64, {}), f = inverse_frequencies(64, options);
  int kept = 0, divided = 0, blended = 0;
  double last = 1.0;
  for (int i = 0; i < 32; ++i) {
    const double ratio = at_index(f, i) / at_index(plain, i);
    const double turns = 4096.0 * at_index(plain, i) / (2 * std::numbers::pi);
    EXPECT_LE(ratio, last + 1e-12);
    last = ratio;
    // Whole dimensions around the two borders blend too.
    if (turns > 32 * 1.4) {
      EXPECT_DOUBLE_EQ(ratio, 1.0);
      ++kept;
    } else if (turns < 1 / 1.4) {
      EXPECT_NEAR(ratio, 1.0 / 40.0, 1e-15);
      ++divided;
    } else {
      ++blended;
    }
  }
  EXPECT_GT(kept, 5);
  EXPECT_GT(divided, 5);
  EXPECT_GT(blended, 5);
}

TEST(RotaryTables, DynamicLooksAtEachSequence) {
  const RopeOptions options{.type = RopeType::kDynamic, .factor = 2.0, .original_positions = 8.0};
  const RotaryTables tables(8, options);
  const at::Tensor positions = at::cat({at::arange(5, at::kLong), at::arange(12, at::kLong)});
  const RotaryTable together = tables.rows(positions, std::vector<std::int64_t>{0, 5, 5, 17});
  const RotaryTable second =
      tables.rows(at::arange(12, at::kLong), std::vector<std::int64_t>{0, 12});
  const RotaryTable plain = rotary_table(inverse_frequencies(8, {}), at::arange(5, at::kLong));
  EXPECT_TRUE(together.cos.narrow(0, 0, 5).equal(plain.cos));
  EXPECT_TRUE(together.sin.narrow(0, 5, 12).equal(second.sin));
  EXPECT_FALSE(together.sin.narrow(0, 5, 5).equal(plain.sin));
}

TEST(RotaryTables, YarnScalesBoth) {
  RopeOptions options{.type = RopeType::kYarn, .factor = 4.0, .original_positions = 64.0};
  const at::Tensor positions = at::arange(9, at::kLong);
  const std::vector<std::int64_t> segments = {0, 9};
  const RotaryTable plain = RotaryTables(8, options).rows(positions, segments);
  options.attention_factor = 1.25;
  const RotaryTable scaled = RotaryTables(8, options).rows(positions, segments);
  EXPECT_TRUE(scaled.cos.allclose(plain.cos * 1.25));
  EXPECT_TRUE(scaled.sin.allclose(plain.sin * 1.25));
}

TEST(RotaryTable, KeepsItsDigitsAtFarPositions) {
  const at::Tensor f = inverse_frequencies(64, {});
  const RotaryTable table = rotary_table(f, at::tensor({0, 1, 1000003}, at::kLong));
  EXPECT_EQ(table.cos.scalar_type(), at::kFloat);
  ASSERT_EQ(table.cos.sizes(), at::IntArrayRef({3, 32}));
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(table.cos[0][i].item<float>(), 1.0F);
    EXPECT_EQ(table.sin[0][i].item<float>(), 0.0F);
    EXPECT_NEAR(table.cos[2][i].item<double>(), std::cos(1000003.0 * at_index(f, i)), 1e-7);
    EXPECT_NEAR(table.sin[2][i].item<double>(), std::sin(1000003.0 * at_index(f, i)), 1e-7);
  }
}

}  // namespace
}  // namespace distill::nn
