#include "pipeline/html/samples.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace distill::pipeline::html {
namespace {

/// Values that no mean of several of them is one of.
double value_at(std::int64_t step) {
  return std::sqrt(static_cast<double>(2 + step * 7919 % 1009));
}

TEST(Samples, AreDrawnAsTheyWereMeasuredHoweverFarApart) {
  Samples samples;
  // Two and a half steps of a column of a curve of a million steps lie between these.
  for (std::int64_t i = 0; i < 480; ++i) ASSERT_TRUE(samples.add(i * 1000, value_at(i)));
  const auto points = samples.points();
  ASSERT_EQ(points.size(), 480u);
  for (std::int64_t i = 0; i < 480; ++i) {
    const auto& point = points[static_cast<std::size_t>(i)];
    EXPECT_EQ(point.step, static_cast<double>(i * 1000));
    EXPECT_EQ(point.mean, value_at(i));
    EXPECT_EQ(point.low, point.mean);
    EXPECT_EQ(point.high, point.mean);
  }
}

TEST(Samples, OfVeryManyFirstLastAndExtremesStayAndNothingIsAveraged) {
  for (const std::int64_t count : {481, 482, 960, 961, 1919, 12'345, 300'000}) {
    Samples samples;
    const std::int64_t spike = count / 3;
    const std::int64_t dip = count / 2;
    const auto value = [&](std::int64_t i) {
      return i == spike ? 1000.0 : i == dip ? -1000.0 : value_at(i);
    };
    for (std::int64_t i = 0; i < count; ++i) samples.add(10 * i, value(i));
    const auto points = samples.points();
    EXPECT_EQ(samples.count(), count);
    EXPECT_LE(points.size(), Samples::kMostPoints + 2) << count;
    EXPECT_GE(points.size(), Samples::kMostPoints / 4) << count;
    EXPECT_EQ(points.front().step, 0);
    EXPECT_EQ(points.back().step, static_cast<double>(10 * (count - 1)));
    bool has_spike = false;
    bool has_dip = false;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const auto number = static_cast<std::int64_t>(points[i].step) / 10;
      EXPECT_EQ(points[i].mean, value(number)) << count;
      EXPECT_TRUE(i == 0 || points[i].step > points[i - 1].step) << count;
      has_spike |= number == spike;
      has_dip |= number == dip;
    }
    EXPECT_TRUE(has_spike && has_dip) << count;
  }
}

TEST(Samples, WhatCannotBeDrawnIsRefused) {
  Samples samples;
  EXPECT_TRUE(samples.points().empty());
  EXPECT_FALSE(samples.add(-1, 1));
  EXPECT_FALSE(samples.add(1, std::nan("")));
  EXPECT_FALSE(samples.add(1, std::numeric_limits<double>::infinity()));
  EXPECT_TRUE(samples.empty());
  EXPECT_TRUE(samples.add(5, 2));
  ASSERT_EQ(samples.points().size(), 1u);
  EXPECT_EQ(samples.last(), 2);
}

}  // namespace
}  // namespace distill::pipeline::html
