#include "pipeline/html/curve.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace distill::pipeline::html {
namespace {

TEST(Curve, ShortOnesAreKeptAsTheyAre) {
  Curve curve;
  for (std::int64_t step = 1; step <= 400; ++step) EXPECT_TRUE(curve.add(step, 1.0 / step));
  const auto points = curve.points();
  ASSERT_EQ(points.size(), 400u);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].step, i + 1.0);
    EXPECT_EQ(points[i].mean, 1.0 / static_cast<double>(i + 1));
    EXPECT_EQ(points[i].low, points[i].high);
  }
}

TEST(Curve, LongOnesKeepTheSpikesTheSumAndTheCount) {
  constexpr std::int64_t kSteps = 1'000'000;
  Curve curve;
  double sum = 0;
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    const double value = step == 765'432 ? 1000 : step == 123'456 ? -1000 : 2 + std::sin(step);
    curve.add(step, value);
    sum += value;
  }
  const auto points = curve.points();
  EXPECT_LE(points.size(), Curve::kMostColumns);
  EXPECT_GE(points.size(), Curve::kMostColumns / 2);
  std::int64_t count = 0;
  double mean_sum = 0;
  double low = 0;
  double high = 0;
  double before = -1;
  for (const auto& point : points) {
    EXPECT_GT(point.step, before);
    before = point.step;
    count += point.count;
    mean_sum += point.mean * static_cast<double>(point.count);
    low = std::min(low, point.low);
    high = std::max(high, point.high);
  }
  EXPECT_EQ(count, kSteps);
  EXPECT_NEAR(mean_sum, sum, 1e-6 * sum);
  EXPECT_NEAR(curve.sum(), sum, 1e-6 * sum);
  EXPECT_EQ(low, -1000);
  EXPECT_EQ(high, 1000);
  EXPECT_EQ(curve.count(), kSteps);
}

// Columns do not depend on the order in which steps come.
TEST(Curve, AnyOrderGivesTheSameColumns) {
  std::vector<std::int64_t> steps(3000);
  for (std::size_t i = 0; i < steps.size(); ++i) steps[i] = static_cast<std::int64_t>(i);
  Curve ascending;
  for (const auto step : steps) ascending.add(step, static_cast<double>(step % 97));
  Curve descending;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    descending.add(*step, static_cast<double>(*step % 97));
  }
  const auto a = ascending.points();
  const auto b = descending.points();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].low, b[i].low);
    EXPECT_EQ(a[i].high, b[i].high);
    EXPECT_EQ(a[i].count, b[i].count);
    EXPECT_DOUBLE_EQ(a[i].mean, b[i].mean);
  }
}

TEST(Curve, WhatCannotBeDrawnIsRefused) {
  Curve curve;
  EXPECT_FALSE(curve.add(-1, 1));
  EXPECT_FALSE(curve.add(1, std::nan("")));
  EXPECT_FALSE(curve.add(1, std::numeric_limits<double>::infinity()));
  EXPECT_FALSE(curve.add(1, 1e200));
  EXPECT_TRUE(curve.empty());
  EXPECT_TRUE(curve.add(std::numeric_limits<std::int64_t>::max(), 1));
  EXPECT_TRUE(curve.add(0, 2));
  EXPECT_EQ(curve.points().size(), 2u);
}

}  // namespace
}  // namespace distill::pipeline::html
