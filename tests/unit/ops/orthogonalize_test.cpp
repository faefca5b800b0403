#include <distill/ops/orthogonalize.h>

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/diag.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/logspace.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

namespace distill::ops {
namespace {

/// The same polynomial of each singular value alone, in float64.
at::Tensor oracle(const at::Tensor& matrix, int iterations) {
  const at::Tensor x = matrix.to(at::kDouble);
  const auto [u, s, vh] = at::linalg_svd(x / x.norm(), /*full_matrices=*/false);
  at::Tensor value = s;
  for (int i = 0; i < iterations; ++i) {
    value = value * 3.4445 - value.pow(3) * 4.7750 + value.pow(5) * 2.0315;
  }
  return at::mm(u * value, vh);
}

/// A matrix whose singular values lie between 1 and `smallest`.
at::Tensor matrix(std::int64_t rows, std::int64_t columns, double smallest) {
  const std::int64_t rank = std::min(rows, columns);
  const auto basis = [rank](std::int64_t size) {
    return std::get<0>(at::linalg_qr(at::randn({size, rank}, at::kDouble)));
  };
  const at::Tensor values = at::logspace(0, std::log10(smallest), rank, 10.0, at::kDouble);
  return at::mm(basis(rows) * values, basis(columns).t());
}

class Orthogonalized : public ::testing::TestWithParam<std::pair<std::int64_t, std::int64_t>> {};

TEST_P(Orthogonalized, FollowsThePolynomialOfTheSingularValues) {
  const auto [rows, columns] = GetParam();
  const at::Tensor x = matrix(rows, columns, 0.05);
  for (const int iterations : {1, 3, 5}) {
    const at::Tensor expected = oracle(x, iterations);
    const at::Tensor fp32 = orthogonalized(x.to(at::kFloat), iterations, at::kFloat);
    EXPECT_EQ(fp32.sizes(), x.sizes());
    EXPECT_LT((fp32.to(at::kDouble) - expected).abs().max().item<double>(), 1e-4) << iterations;
    const at::Tensor bf16 = orthogonalized(x.to(at::kFloat), iterations, at::kBFloat16);
    EXPECT_EQ(bf16.scalar_type(), at::kBFloat16);
    const at::Tensor error = bf16.to(at::kDouble) - expected;
    EXPECT_LT((error.norm() / expected.norm()).item<double>(), 0.06) << iterations;
  }
}

TEST_P(Orthogonalized, FiveIterationsBringSingularValuesNearOne) {
  const auto [rows, columns] = GetParam();
  const at::Tensor x = orthogonalized(matrix(rows, columns, 0.05).to(at::kFloat), 5, at::kFloat);
  const at::Tensor values = std::get<1>(at::linalg_svd(x.to(at::kDouble), false));
  EXPECT_GT(values.min().item<double>(), 0.6);
  EXPECT_LT(values.max().item<double>(), 1.25);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Orthogonalized,
                         ::testing::Values(std::pair{12, 12}, std::pair{8, 40}, std::pair{40, 8},
                                           std::pair{1, 9}));

TEST(Orthogonalized, DoesNotDependOnTheScale) {
  const at::Tensor x = at::randn({6, 10}, at::kFloat);
  const at::Tensor expected = orthogonalized(x, 5, at::kFloat);
  for (const double scale : {1e-4, 1e4}) {
    const at::Tensor scaled = orthogonalized(x * scale, 5, at::kFloat);
    EXPECT_LT((scaled - expected).abs().max().item<double>(), 1e-2) << scale;
  }
}

TEST(Orthogonalized, ZerosStayZeros) {
  const at::Tensor zeros = at::zeros({4, 3}, at::kFloat);
  EXPECT_TRUE(orthogonalized(zeros, 5, at::kBFloat16).to(at::kFloat).equal(zeros));
}

}  // namespace
}  // namespace distill::ops
