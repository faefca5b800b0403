#include <cmath>

#include <gtest/gtest.h>

#include <distill/train/options.h>

namespace distill::train {
namespace {

TEST(ScheduleFactor, WarmsUpInEqualParts) {
  const ScheduleOptions options{.warmup_steps = 4};
  EXPECT_DOUBLE_EQ(schedule_factor(options, 0, 100), 0.25);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 1, 100), 0.5);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 3, 100), 1.0);
  EXPECT_LT(schedule_factor(options, 4, 100), 1.0);
}

TEST(ScheduleFactor, CosineGoesFromThePeakToTheRatio) {
  const ScheduleOptions options{.min_lr_ratio = 0.1};
  EXPECT_DOUBLE_EQ(schedule_factor(options, 0, 101), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 25, 101), 0.1 + 0.9 * (0.5 + std::sqrt(2.0) / 4));
  EXPECT_DOUBLE_EQ(schedule_factor(options, 50, 101), 0.55);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 100, 101), 0.1);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 500, 101), 0.1);
}

TEST(ScheduleFactor, LinearAfterWarmup) {
  const ScheduleOptions options{
      .kind = ScheduleKind::kLinear, .warmup_steps = 11, .min_lr_ratio = 0.5};
  EXPECT_DOUBLE_EQ(schedule_factor(options, 10, 111), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 60, 111), 0.75);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 110, 111), 0.5);
}

TEST(ScheduleFactor, ConstantStaysAfterWarmup) {
  const ScheduleOptions options{.kind = ScheduleKind::kConstant, .warmup_steps = 2};
  EXPECT_DOUBLE_EQ(schedule_factor(options, 0, 10), 0.5);
  for (int step = 1; step < 10; ++step) {
    EXPECT_DOUBLE_EQ(schedule_factor(options, step, 10), 1.0);
  }
}

TEST(ScheduleFactor, ShortRuns) {
  EXPECT_DOUBLE_EQ(schedule_factor({}, 0, 1), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor({.warmup_steps = 1}, 0, 1), 1.0);
  // A warm-up as long as the run ends at the peak; a longer one never gets there.
  EXPECT_DOUBLE_EQ(schedule_factor({.warmup_steps = 3}, 2, 3), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor({.warmup_steps = 6}, 2, 3), 0.5);
  EXPECT_DOUBLE_EQ(schedule_factor({.min_lr_ratio = 0.0}, 1, 2), 0.0);
}

TEST(ScheduleFactor, NeverGrowsAfterWarmup) {
  for (const auto kind : {ScheduleKind::kCosine, ScheduleKind::kLinear}) {
    const ScheduleOptions options{.kind = kind, .warmup_steps = 5, .min_lr_ratio = 0.1};
    for (int step = 5; step < 40; ++step) {
      EXPECT_LT(schedule_factor(options, step, 40), schedule_factor(options, step - 1, 40));
      EXPECT_GE(schedule_factor(options, step, 40), 0.1);
    }
  }
}

}  // namespace
}  // namespace distill::train
