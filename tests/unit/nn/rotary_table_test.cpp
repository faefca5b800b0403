#include <cmath>
#include <numbers>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
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
