#include "teachers/sample_row.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include <distill/core/random.h>

namespace distill::teachers {
namespace {

std::vector<float> random_log_probs(core::RandomState& random, std::size_t size, double scale) {
  std::vector<double> x(size);
  for (double& value : x) value = scale * (random.uniform() + random.uniform() - 1);
  double sum = 0;
  for (const double value : x) sum += std::exp(value);
  std::vector<float> log_probs;
  for (const double value : x) log_probs.push_back(static_cast<float>(value - std::log(sum)));
  return log_probs;
}

/// The weights of all ids: max(P, 1 / draws) of those that were kept.
std::vector<double> weights_of(const io::SampledRow& row, std::size_t size, std::int64_t draws) {
  std::vector<double> weights(size);
  for (std::size_t i = 0; i < row.ids.size(); ++i) {
    weights[static_cast<std::size_t>(row.ids[i])] =
        std::max(row.probabilities[i], 1.0 / static_cast<double>(draws));
  }
  return weights;
}

TEST(SampleRow, ExpectedWeightsAreTheProbabilities) {
  core::RandomState random(1);
  constexpr std::size_t kSize = 200;
  constexpr int kTrials = 100'000;
  for (const double scale : {1.0, 6.0, 12.0}) {
    const auto log_probs = random_log_probs(random, kSize, scale);
    constexpr std::int64_t kDraws = 16;
    std::vector<double> sums(kSize);
    for (int trial = 0; trial < kTrials; ++trial) {
      const auto row = sample_row(log_probs, kDraws, random.uniform());
      const auto weights = weights_of(row, kSize, kDraws);
      for (std::size_t v = 0; v < kSize; ++v) sums[v] += weights[v];
      const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
      ASSERT_NEAR(all, 1, 1.0 / kDraws + 1e-5);
      ASSERT_LE(row.ids.size(), static_cast<std::size_t>(kDraws) + 1);
    }
    for (std::size_t v = 0; v < kSize; ++v) {
      const double p = std::exp(static_cast<double>(log_probs[v]));
      const double variance = p < 1.0 / kDraws ? p * (1.0 / kDraws - p) : 0;
      EXPECT_NEAR(sums[v] / kTrials, p, 5 * std::sqrt(variance / kTrials) + 3e-6) << v;
    }
  }
}

TEST(SampleRow, TheMeanOfTheRestIsThatOfAllSmallIds) {
  core::RandomState random(2);
  const auto log_probs = random_log_probs(random, 300, 5);
  const auto row = sample_row(log_probs, 24, 0.5);
  double mass = 0;
  double sum = 0;
  for (const float x : log_probs) {
    if (std::exp(static_cast<double>(x)) * 24 >= 1) continue;
    mass += std::exp(static_cast<double>(x));
    sum += std::exp(static_cast<double>(x)) * static_cast<double>(x);
  }
  EXPECT_NEAR(row.mean_log_prob_of_rest, sum / mass, 1e-9);
}

/// The reason for the form: the error of a gradient, which is that of the weights, against as many
/// independent draws.
TEST(SampleRow, IsNearerToTheDistributionThanDrawsWithReplacement) {
  core::RandomState random(3);
  constexpr std::size_t kSize = 400;
  constexpr std::int64_t kDraws = 24;
  double own = 0;
  double independent = 0;
  for (int trial = 0; trial < 400; ++trial) {
    const auto log_probs = random_log_probs(random, kSize, 8);
    const auto weights = weights_of(sample_row(log_probs, kDraws, random.uniform()), kSize, kDraws);
    std::vector<double> counts(kSize);
    for (int draw = 0; draw < kDraws; ++draw) {
      double place = random.uniform();
      std::size_t v = 0;
      while (v + 1 < kSize && (place -= std::exp(static_cast<double>(log_probs[v]))) >= 0) ++v;
      counts[v] += 1.0 / kDraws;
    }
    for (std::size_t v = 0; v < kSize; ++v) {
      const double p = std::exp(static_cast<double>(log_probs[v]));
      own += (weights[v] - p) * (weights[v] - p);
      independent += (counts[v] - p) * (counts[v] - p);
    }
  }
  EXPECT_LT(own, 0.6 * independent);
}

TEST(SampleRow, ACertainIdIsAlone) {
  std::vector<float> log_probs(50, -std::numeric_limits<float>::infinity());
  log_probs[7] = 0;
  const auto row = sample_row(log_probs, 24, 0.999);
  EXPECT_EQ(row.ids, (std::vector<std::int64_t>{7}));
  EXPECT_EQ(row.probabilities, (std::vector<double>{1.0}));
}

}  // namespace
}  // namespace distill::teachers
