#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "ops/cpu/divergence_table.h"
#include "ops/divergence_terms.h"

// Each instruction set this machine has, in fp32, against the same passes in fp64 (which the tests
// of linear_divergence compare with the definitions).
namespace distill::ops::cpu {
namespace {

constexpr std::int64_t kRows = 3;
constexpr std::int64_t kIds = 137;
constexpr std::int64_t kColumns = 144;

struct Logits {
  std::vector<double> student, teacher;  // [kRows, kColumns]
};

Logits random_logits(double spread) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal(0.0, spread);
  Logits logits;
  for (auto* side : {&logits.student, &logits.teacher}) {
    for (std::int64_t i = 0; i < kRows * kColumns; ++i) {
      side->push_back(static_cast<double>(static_cast<float>(normal(random))));
    }
  }
  return logits;
}

/// One model's block after both steps of the first pass.
template <class T>
struct Side {
  std::vector<T> logits;
  std::vector<T> maxima, log_sums;

  Side(const DivergenceKernels<T>& kernels, const std::vector<double>& values,
       Transform<T> transform, T inverse)
      : logits(values.begin(), values.end()) {
    const LogitBlock<T> block{logits.data(), kColumns, kColumns};
    kernels.prepare({block, kIds, transform}, kRows);
    std::vector<T> running(kRows * kStatLanes, std::numeric_limits<T>::lowest() / 2);
    std::vector<T> sums(kRows * kStatLanes, T(0));
    kernels.stats({block, &inverse, 1, running.data(), sums.data()}, kRows);
    for (std::int64_t row = 0; row < kRows; ++row) {
      const T* lanes = running.data() + row * kStatLanes;
      const T maximum = *std::max_element(lanes, lanes + kStatLanes);
      double total = 0;
      for (std::int64_t lane = 0; lane < kStatLanes; ++lane) {
        total += static_cast<double>(sums[row * kStatLanes + lane]) *
                 std::exp(static_cast<double>((lanes[lane] - maximum) * inverse));
      }
      maxima.push_back(maximum);
      log_sums.push_back(static_cast<T>(std::log(total)));
    }
  }
  LogitBlock<T> block() { return {logits.data(), kColumns, kColumns}; }
  RowStats<T> stats() const { return {maxima.data(), log_sums.data()}; }
};

struct Outcome {
  std::vector<double> gradient, sums;
  double value = 0;
};

template <class T>
Outcome run(const DivergenceKernels<T>& kernels, const Logits& logits, const LogitTerm& term,
            Transform<T> transform) {
  const T inverse = static_cast<T>(1.0 / term.temperature);
  Side<T> student(kernels, logits.student, transform, inverse);
  Side<T> teacher(kernels, logits.teacher, {}, inverse);
  DivergenceProblem problem;
  problem.terms = {term};
  problem.temperatures = {term.temperature};
  problem.temperature_of = {0};
  problem.vocabulary = kIds;
  const TermArgs<T> args = term_args<T>(problem, 0);
  std::vector<T> params(kRows * kRowParams, static_cast<T>(-3.0));
  PairArgs<T> pair{
      student.block(), teacher.block(), student.stats(), teacher.stats(), {}, 1, &args, 1,
      params.data()};
  Outcome outcome;
  outcome.sums.resize(kRows * kMostReductions);
  kernels.reduce({pair, outcome.sums.data()}, kRows);
  for (std::int64_t row = 0; row < kRows; ++row) {
    double sums[kMostReductions];
    std::copy_n(outcome.sums.data() + row * kMostReductions, kMostReductions, sums);
    const Reduced of_row = reduced(term, sums);
    for (std::int64_t i = 0; i < kRowParams; ++i) {
      params[row * kRowParams + i] = static_cast<T>(of_row.params[i]);
    }
  }
  const std::int64_t labels[kRows] = {0, 5, kIds - 1};
  std::vector<T> scratch(kColumns);
  GradientArgs<T> gradient;
  gradient.pair = pair;
  gradient.transform = transform;
  gradient.labels = labels;
  gradient.scratch = scratch.data();
  gradient.values = &outcome.value;
  kernels.gradient(gradient, kRows);
  for (std::int64_t row = 0; row < kRows; ++row) {
    const auto begin = student.logits.begin() + row * kColumns;
    outcome.gradient.insert(outcome.gradient.end(), begin, begin + kIds);
  }
  return outcome;
}

class DivergenceKernelsTest : public ::testing::TestWithParam<Isa> {
 protected:
  const DivergenceTable& table() const { return divergence_kernels_for(GetParam()); }
};

TEST_P(DivergenceKernelsTest, EveryKindLikeFloat64) {
  for (const double spread : {0.01, 1.0, 30.0}) {
    const Logits logits = random_logits(spread);
    for (int kind = 0; kind <= static_cast<int>(LogitTermKind::kCrossEntropy); ++kind) {
      LogitTerm term{static_cast<LogitTermKind>(kind), 1.0, 1.5};
      if (term.kind == LogitTermKind::kCrossEntropy) term.temperature = 1.0;
      term.beta = 0.3;
      SCOPED_TRACE(::testing::Message() << name_of(term.kind) << " spread " << spread);
      for (const bool smoothed : {false, true}) {
        term.label_smoothing = smoothed ? 0.2 : 0.0;
        const Outcome expected =
            run<double>(table().f64, logits, term, {smoothed ? 0.8 : 1.0, smoothed ? 50.0 : 0.0});
        const Outcome got = run<float>(table().f32, logits, term,
                                       {smoothed ? 0.8F : 1.0F, smoothed ? 50.0F : 0.0F});
        EXPECT_NEAR(got.value, expected.value, 2e-5 * std::max(0.01, std::abs(expected.value)));
        double worst = 0;
        double size = 0;
        for (std::size_t i = 0; i < expected.gradient.size(); ++i) {
          worst += std::pow(got.gradient[i] - expected.gradient[i], 2);
          size += std::pow(expected.gradient[i], 2);
        }
        EXPECT_LE(std::sqrt(worst), 1e-6 * (2 + spread) + 2e-5 * std::sqrt(size));
        for (std::size_t i = 0; i < expected.sums.size(); ++i) {
          EXPECT_NEAR(got.sums[i], expected.sums[i],
                      2e-5 * std::max(0.1, std::abs(expected.sums[i])));
        }
      }
    }
  }
}

TEST_P(DivergenceKernelsTest, Layouts) {
  std::mt19937 random(3);
  for (const auto& [rows, columns] : {std::pair{1, 1}, {16, 16}, {17, 33}, {128, 40}, {5, 100}}) {
    const auto size = static_cast<std::size_t>(rows * columns);
    std::vector<std::uint32_t> in(size), out(size);
    for (auto& x : in) x = static_cast<std::uint32_t>(random());
    table().transpose(in.data(), columns, out.data(), rows, rows, columns);
    std::vector<float> wide(size);
    for (auto& x : wide) x = static_cast<float>(static_cast<int>(random() % 512) - 256) / 256.0F;
    std::vector<Bf16> narrow(size), pairs(2 * size);
    table().transpose_to_bf16(wide.data(), columns, narrow.data(), rows, rows, columns);
    table().interleave(narrow.data(), nullptr, pairs.data(), static_cast<std::int64_t>(size));
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) {
        const auto from = static_cast<std::size_t>(r * columns + c);
        const auto to = static_cast<std::size_t>(c * rows + r);
        ASSERT_EQ(out[to], in[from]);
        const auto bits = static_cast<std::uint32_t>(narrow[to].bits) << 16;
        ASSERT_EQ(std::bit_cast<float>(bits), wide[from]);
      }
    }
    for (std::size_t i = 0; i < size; ++i) {
      ASSERT_EQ(pairs[2 * i].bits, narrow[i].bits);
      ASSERT_EQ(pairs[2 * i + 1].bits, 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, DivergenceKernelsTest, ::testing::ValuesIn(supported_isas()),
                         [](const auto& parameter) {
                           switch (parameter.param) {
                             case Isa::kAvx512:
                               return "avx512";
                             case Isa::kAvx2:
                               return "avx2";
                             case Isa::kPortable:
                               break;
                           }
                           return "portable";
                         });

}  // namespace
}  // namespace distill::ops::cpu
