#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ops/cpu/isa.h"

// Each instruction set this machine has, against the C library in double.
namespace distill::ops::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class CpuMath : public ::testing::TestWithParam<Isa> {
 protected:
  const KernelTable& table() const { return kernels_for(GetParam()); }
};

/// Error in units in the last place of the float nearest to `expected`.
double ulps(float got, double expected) {
  const float nearest = static_cast<float>(expected);
  if (got == nearest) return 0.0;
  const double unit =
      std::max(std::abs(static_cast<double>(std::nextafter(nearest, kInfinity)) - nearest),
               static_cast<double>(std::numeric_limits<float>::denorm_min()));
  return std::abs(got - expected) / unit;
}

template <class Kernel>
std::vector<float> mapped(Kernel kernel, const std::vector<float>& x) {
  std::vector<float> out(x.size());
  kernel(x.data(), out.data(), static_cast<std::int64_t>(x.size()));
  return out;
}

std::vector<float> linear(float from, float to, int n) {
  std::vector<float> x;
  for (int i = 0; i < n; ++i) x.push_back(from + (to - from) * static_cast<float>(i) / (n - 1.0F));
  return x;
}

TEST_P(CpuMath, ExpIsWithinTwoUlp) {
  const std::vector<float> x = linear(-103.9F, 88.7F, 400001);
  const std::vector<float> y = mapped(table().exp, x);
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, ulps(y[i], std::exp(double(x[i]))));
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LE(worst, 2.0);
}

TEST_P(CpuMath, Expm1IsWithinFourUlp) {
  std::vector<float> x = linear(-100.0F, 88.0F, 100001);
  for (const float small : linear(-0.5F, 0.5F, 100001)) x.push_back(small);
  x.insert(x.end(), {1e-20F, -1e-20F, 0.0F});
  const std::vector<float> y = mapped(table().expm1, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_LE(ulps(y[i], std::expm1(double(x[i]))), 4.0) << x[i];
  }
}

TEST_P(CpuMath, Log1pIsWithinFourUlp) {
  std::vector<float> x = linear(-0.999999F, 1.0F, 200001);
  x.insert(x.end(), {1e-20F, -1e-20F, 0.0F, -1e-4F, 1e-4F});
  const std::vector<float> y = mapped(table().log1p, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_LE(ulps(y[i], std::log1p(double(x[i]))), 4.0) << x[i];
  }
}

TEST_P(CpuMath, ExpAtTheEdges) {
  const std::vector<float> y = mapped(
      table().exp, {0.0F, -0.0F, kInfinity, -kInfinity, kNan, -1e30F, -105.0F, 1e30F, 88.73F});
  EXPECT_EQ(y[0], 1.0F);
  EXPECT_EQ(y[1], 1.0F);
  EXPECT_EQ(y[2], kInfinity);
  EXPECT_EQ(y[3], 0.0F);
  EXPECT_TRUE(std::isnan(y[4]));
  EXPECT_EQ(y[5], 0.0F);
  EXPECT_EQ(y[6], 0.0F);
  EXPECT_EQ(y[7], kInfinity);
  EXPECT_EQ(y[8], kInfinity);
}

TEST_P(CpuMath, LogIsWithinTwoUlp) {
  std::vector<float> x = linear(0.5F, 2.0F, 200001);
  for (double v = 1e-44; v < 3e38; v *= 1.0007) x.push_back(static_cast<float>(v));
  const std::vector<float> y = mapped(table().log, x);
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, ulps(y[i], std::log(double(x[i]))));
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LE(worst, 2.0);
}

TEST_P(CpuMath, LogAtTheEdges) {
  const std::vector<float> y =
      mapped(table().log, {0.0F, -0.0F, -1.0F, kInfinity, -kInfinity, kNan, 1.0F});
  EXPECT_EQ(y[0], -kInfinity);
  EXPECT_EQ(y[1], -kInfinity);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_EQ(y[3], kInfinity);
  EXPECT_TRUE(std::isnan(y[4]));
  EXPECT_TRUE(std::isnan(y[5]));
  EXPECT_EQ(y[6], 0.0F);
}

TEST_P(CpuMath, Sigmoid) {
  const std::vector<float> x = linear(-80.0F, 80.0F, 10001);
  const std::vector<float> y = mapped(table().sigmoid, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_LE(ulps(y[i], 1.0 / (1.0 + std::exp(-double(x[i])))), 4.0) << x[i];
  }
  const std::vector<float> edges =
      mapped(table().sigmoid, {kInfinity, -kInfinity, kNan, 1e4F, -1e4F});
  EXPECT_EQ(edges[0], 1.0F);
  EXPECT_EQ(edges[1], 0.0F);
  EXPECT_TRUE(std::isnan(edges[2]));
  EXPECT_EQ(edges[3], 1.0F);
  EXPECT_EQ(edges[4], 0.0F);
}

/// Round to nearest even by comparing distances, with no bit tricks.
std::uint16_t nearest_bf16(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const auto low = static_cast<std::uint16_t>(bits >> 16);
  const std::uint32_t rest = bits & 0xffffU;
  if (rest > 0x8000U || (rest == 0x8000U && (low & 1U) != 0))
    return static_cast<std::uint16_t>(low + 1);
  return low;
}

TEST_P(CpuMath, Bf16RoundsToNearestEven) {
  std::vector<float> x{0.0F, -0.0F, 1.0F, kInfinity, -kInfinity, 3.4e38F, 1e-40F};
  for (std::uint32_t i = 0; i < 70000; ++i) {
    const float v = std::bit_cast<float>(i * 61441U);
    if (!std::isnan(v)) x.push_back(v);
  }
  for (std::uint32_t i = 0; i < 256; ++i)
    x.push_back(std::bit_cast<float>(0x3f800000U + (i << 15)));
  std::vector<Bf16> narrow(x.size());
  table().to_bf16(x.data(), narrow.data(), static_cast<std::int64_t>(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(narrow[i].bits, nearest_bf16(x[i])) << x[i];
  std::vector<float> back(x.size());
  table().to_f32(narrow.data(), back.data(), static_cast<std::int64_t>(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(back[i]), std::uint32_t{narrow[i].bits} << 16);
  }
}

TEST_P(CpuMath, Bf16KeepsNan) {
  // The second one would round up to infinity without care, the third to a negative zero.
  const std::vector<float> x{kNan, std::bit_cast<float>(0x7f800001U),
                             std::bit_cast<float>(0x7fffffffU)};
  std::vector<Bf16> y(x.size());
  table().to_bf16(x.data(), y.data(), 3);
  for (const Bf16 v : y) {
    EXPECT_TRUE(std::isnan(std::bit_cast<float>(std::uint32_t{v.bits} << 16))) << v.bits;
  }
}

TEST_P(CpuMath, WritesNothingBehindTheEnd) {
  for (std::int64_t n = 0; n < 40; ++n) {
    const std::vector<float> x(static_cast<std::size_t>(n) + 1, 1.0F);
    std::vector<float> y(x.size(), -7.0F);
    table().exp(x.data(), y.data(), n);
    EXPECT_EQ(y.back(), -7.0F);
    if (n > 0) {
      EXPECT_NEAR(y[static_cast<std::size_t>(n) - 1], 2.7182817F, 1e-6F);
    }
    std::vector<Bf16> z(x.size(), Bf16{77});
    table().to_bf16(x.data(), z.data(), n);
    EXPECT_EQ(z.back().bits, 77);
    if (n > 0) {
      EXPECT_EQ(z[static_cast<std::size_t>(n) - 1].bits, 0x3f80);
    }
  }
}

std::string isa_name(const ::testing::TestParamInfo<Isa>& info) {
  constexpr const char* kNames[] = {"Portable", "Avx2", "Avx512"};
  return kNames[static_cast<int>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Isas, CpuMath, ::testing::ValuesIn(supported_isas()), isa_name);

TEST(Isa, BestIsTheLastSupported) {
  EXPECT_EQ(supported_isas().back(), best_isa());
  EXPECT_EQ(&kernels(), &kernels_for(best_isa()));
}

}  // namespace
}  // namespace distill::ops::cpu
