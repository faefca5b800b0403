#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ops/cpu/isa.h"

// Each instruction set this machine has, against the fp64 kernels (which the tests of the
// operators check against float64 compositions), for odd sizes and parts of the range.
namespace distill::ops::cpu {
namespace {

constexpr std::int64_t kRows = 7;

template <class T>
T narrow(double x) {
  return static_cast<T>(x);
}
template <>
Bf16 narrow<Bf16>(double x) {
  const auto value = static_cast<float>(x);
  Bf16 result{};
  kernels_for(Isa::kPortable).to_bf16(&value, &result, 1);
  return result;
}
template <class T>
double widen(T x) {
  return static_cast<double>(x);
}
template <>
double widen(Bf16 x) {
  return std::bit_cast<float>(std::uint32_t{x.bits} << 16);
}

/// The same numbers in T and, as rounded to T, in double.
template <class T>
struct Pair {
  std::vector<T> typed;
  std::vector<double> exact;
  Pair(std::int64_t n, double seed) {
    for (std::int64_t i = 0; i < n; ++i) {
      typed.push_back(narrow<T>(2.0 * std::sin(seed + 1.7 * static_cast<double>(i))));
      exact.push_back(widen(typed.back()));
    }
  }
};

template <class T>
void expect_near(const std::vector<T>& got, const std::vector<double>& expected, double tolerance,
                 const char* what) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(widen(got[i]), expected[i], tolerance * (1.0 + std::abs(expected[i])))
        << what << " " << i;
  }
}

template <class T>
std::vector<T> blank(std::int64_t n) {
  return std::vector<T>(static_cast<std::size_t>(n), narrow<T>(-99.0));
}

class CpuKernels : public ::testing::TestWithParam<Isa> {
 protected:
  template <class T>
  const TypedKernels<T>& typed() const {
    return typed_kernels<T>(kernels_for(GetParam()));
  }
  static const TypedKernels<double>& exact() { return kernels_for(Isa::kPortable).f64; }
  template <class T>
  static double tolerance() {
    return sizeof(T) == 2 ? 4e-3 : 3e-6;
  }
  template <class T>
  void check_norm(std::int64_t width) const;
  template <class T>
  void check_rotary(std::int64_t half) const;
  template <class T>
  void check_swiglu(std::int64_t width) const;
};

template <class T>
void CpuKernels::check_norm(std::int64_t width) const {
  const std::int64_t n = kRows * width;
  const Pair<T> x(n, 1);
  const Pair<T> weight(width, 2);
  const Pair<T> grad(n, 3);
  const Pair<T> grad_sum(n, 4);
  auto normed = blank<T>(n);
  auto grad_x = blank<T>(n);
  std::vector<float> rstd(kRows);
  std::vector<float> grad_weight(static_cast<std::size_t>(width));
  RmsNormArgs<T> forward;
  forward.x = x.typed.data();
  forward.weight = weight.typed.data();
  forward.normed = normed.data();
  forward.rstd = rstd.data();
  forward.width = width;
  forward.eps = 1e-5F;
  typed<T>().rms_norm(forward, {3, kRows});
  EXPECT_EQ(widen(normed[static_cast<std::size_t>(3 * width) - 1]), -99.0) << "outside the range";
  typed<T>().rms_norm(forward, {0, 3});
  RmsNormGradArgs<T> backward{
      x.typed.data(),        weight.typed.data(), rstd.data(),        grad.typed.data(),
      grad_sum.typed.data(), grad_x.data(),       grad_weight.data(), width};
  typed<T>().rms_norm_grad(backward, {0, kRows});

  std::vector<double> normed64(normed.size()), grad_x64(normed.size()), rstd64(kRows);
  std::vector<double> grad_weight64(grad_weight.size());
  exact().rms_norm({x.exact.data(), nullptr, weight.exact.data(), normed64.data(), nullptr,
                    rstd64.data(), width, 1e-5},
                   {0, kRows});
  exact().rms_norm_grad({x.exact.data(), weight.exact.data(), rstd64.data(), grad.exact.data(),
                         grad_sum.exact.data(), grad_x64.data(), grad_weight64.data(), width},
                        {0, kRows});
  expect_near(normed, normed64, tolerance<T>(), "normed");
  expect_near(rstd, rstd64, 1e-6, "rstd");
  expect_near(grad_x, grad_x64, tolerance<T>(), "grad_x");
  expect_near(grad_weight, grad_weight64, 3e-6, "grad_weight");
}

template <class T>
void CpuKernels::check_rotary(std::int64_t half) const {
  const std::int64_t heads = 2;
  const std::int64_t row = heads * 2 * half;
  const Pair<T> x(kRows * row, 1);
  const Pair<float> cos(kRows * half, 2);
  const Pair<float> sin(kRows * half, 3);
  auto out = blank<T>(kRows * row);
  std::vector<double> out64(out.size());
  typed<T>().rotary({x.typed.data(), row, 2 * half, cos.typed.data(), sin.typed.data(), out.data(),
                     heads, half, -1.0F},
                    {0, kRows});
  exact().rotary({x.exact.data(), row, 2 * half, cos.exact.data(), sin.exact.data(), out64.data(),
                  heads, half, -1.0},
                 {0, kRows});
  expect_near(out, out64, tolerance<T>(), "rotary");
}

template <class T>
void CpuKernels::check_swiglu(std::int64_t width) const {
  const std::int64_t n = kRows * width;
  const Pair<T> gate(n, 1);
  const Pair<T> up(n, 2);
  const Pair<T> grad(n, 3);
  auto out = blank<T>(n), grad_gate = blank<T>(n), grad_up = blank<T>(n);
  std::vector<double> out64(out.size()), grad_gate64(out.size()), grad_up64(out.size());
  const SwigluArgs<T> args{
      gate.typed.data(), up.typed.data(),  grad.typed.data(), width, width, width,
      out.data(),        grad_gate.data(), grad_up.data()};
  const SwigluArgs<double> args64{
      gate.exact.data(), up.exact.data(),    grad.exact.data(), width, width, width,
      out64.data(),      grad_gate64.data(), grad_up64.data()};
  typed<T>().swiglu(args, {0, kRows});
  typed<T>().swiglu_grad(args, {0, kRows});
  exact().swiglu(args64, {0, kRows});
  exact().swiglu_grad(args64, {0, kRows});
  expect_near(out, out64, tolerance<T>(), "swiglu");
  expect_near(grad_gate, grad_gate64, tolerance<T>(), "grad_gate");
  expect_near(grad_up, grad_up64, tolerance<T>(), "grad_up");
}

constexpr std::int64_t kWidths[] = {1, 2, 4, 7, 8, 15, 16, 17, 31, 33, 64, 100};

TEST_P(CpuKernels, RmsNorm) {
  for (const std::int64_t width : kWidths) {
    check_norm<float>(width);
    check_norm<Bf16>(width);
  }
}

TEST_P(CpuKernels, Rotary) {
  for (const std::int64_t half : kWidths) {
    check_rotary<float>(half);
    check_rotary<Bf16>(half);
  }
}

TEST_P(CpuKernels, Swiglu) {
  for (const std::int64_t width : kWidths) {
    check_swiglu<float>(width);
    check_swiglu<Bf16>(width);
  }
}

TEST_P(CpuKernels, AdamWIsTheSameWhereverTheRangeIsCut) {
  constexpr std::int64_t kN = 101;
  const Pair<float> weight(kN, 1);
  const Pair<Bf16> gradient(kN, 2);
  const auto run = [&](std::vector<Range> ranges) {
    std::vector<float> master = weight.typed, m(kN), v(kN);
    std::vector<Bf16> compute(kN);
    AdamWArgs<Bf16> args;
    args.master = master.data();
    args.compute = compute.data();
    args.gradient = gradient.typed.data();
    args.exp_avg = m.data();
    args.exp_avg_sq = v.data();
    args.one_minus_beta1 = 0.1F;
    args.one_minus_beta2 = 0.05F;
    args.decay = 0.99F;
    args.step_size = 0.1F;
    args.rsqrt_correction = 4.472136F;
    args.eps = 1e-8F;
    for (const Range& range : ranges) kernels_for(GetParam()).adamw_bf16(args, range);
    for (std::int64_t i = 0; i < kN; ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_EQ(compute[at].bits, narrow<Bf16>(master[at]).bits);
      // The first step moves by step_size * 0.1 against the gradient's sign.
      const double g = gradient.exact[at];
      EXPECT_NEAR(master[at], 0.99 * weight.exact[at] - 0.01 * (g > 0 ? 1 : -1), 1e-6);
    }
    return master;
  };
  EXPECT_EQ(run({{0, kN}}), run({{0, 3}, {3, 50}, {50, 99}, {99, kN}}));
}

TEST_P(CpuKernels, SumOfSquares) {
  for (const std::int64_t n : {0, 1, 5, 16, 100, 1001}) {
    const Pair<float> x(n, 1);
    const Pair<Bf16> y(n, 1);
    double x64 = 0;
    double y64 = 0;
    for (const double v : x.exact) x64 += v * v;
    for (const double v : y.exact) y64 += v * v;
    EXPECT_NEAR(kernels_for(GetParam()).sum_of_squares_f32(x.typed.data(), n), x64, 1e-11);
    EXPECT_NEAR(kernels_for(GetParam()).sum_of_squares_bf16(y.typed.data(), n), y64, 1e-11);
  }
}

std::string isa_name(const ::testing::TestParamInfo<Isa>& info) {
  constexpr const char* kNames[] = {"Portable", "Avx2", "Avx512"};
  return kNames[static_cast<int>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Isas, CpuKernels, ::testing::ValuesIn(supported_isas()), isa_name);

}  // namespace
}  // namespace distill::ops::cpu
