#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "support/recording_communicator.h"
#include "support/thread_communicator.h"

#include "training_rig.h"

namespace distill::train {
namespace {

using testing::message_of;
using testing::number;
using testing::TrainingRig;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Steps of four micro-batches; the given calls of the loss are spoilt.
TrainingRig::Settings settings_for(std::int64_t steps, at::ScalarType dtype = at::kFloat) {
  TrainingRig::Settings settings;
  settings.train.steps = steps;
  settings.train.schedule.kind = ScheduleKind::kConstant;  // the same in runs of any length
  settings.dtype = dtype;
  return settings;
}

TEST(TrainerSkip, ANonFiniteStepChangesNothing) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const double poison : {kNan, kInfinity}) {
      // Any of the four micro-batches of step 4 may be the bad one.
      for (std::int64_t bad = 12; bad < 16; ++bad) {
        TrainingRig before(settings_for(3, dtype));
        before.trainer().run();
        TrainingRig rig(settings_for(4, dtype));
        rig.loss.before_return = [&](std::int64_t call, at::Tensor& sum) {
          if (call == bad) sum = sum * poison;
        };
        const TrainResult result = rig.trainer().run();
        testing::expect_same(rig.snapshot(), before.snapshot());
        EXPECT_EQ(rig.optimizer->steps(), 3);
        EXPECT_EQ(rig.batches.position(), 32);  // the data go on
        EXPECT_EQ(result.steps, 4);
        EXPECT_EQ(result.skipped_steps, 1);
        EXPECT_EQ(rig.sink.steps.size(), 3u);
        ASSERT_EQ(rig.sink.events.size(), 1u);
        EXPECT_EQ(rig.sink.events[0].first, "skipped_step");
        EXPECT_EQ(number(rig.sink.events[0].second, "step"), 4);
      }
    }
  }
}

TEST(TrainerSkip, ANonFiniteGradientUnderAFiniteLossIsSeen) {
  TrainingRig rig(settings_for(1));
  rig.loss.before_return = [](std::int64_t call, at::Tensor& sum) {
    if (call == 2) sum.register_hook([](const at::Tensor& g) { return g * kNan; });
  };
  const auto before = rig.snapshot();
  rig.trainer().run();
  testing::expect_same(rig.snapshot(), before);
  ASSERT_EQ(rig.sink.events.size(), 1u);
  EXPECT_TRUE(std::isfinite(number(rig.sink.events[0].second, "loss")));
}

TEST(TrainerSkip, TrainingGoesOnAfterwards) {
  TrainingRig rig(settings_for(8));
  rig.loss.before_return = [](std::int64_t call, at::Tensor& sum) {
    if (call == 5 || call == 13) sum = sum * kNan;
  };
  const TrainResult result = rig.trainer().run();
  EXPECT_EQ(result.skipped_steps, 2);
  EXPECT_EQ(rig.optimizer->steps(), 6);
  EXPECT_EQ(rig.sink.steps.size(), 6u);
}

TEST(TrainerSkip, TenInARowEndTheRun) {
  TrainingRig rig(settings_for(30));
  rig.loss.before_return = [](std::int64_t call, at::Tensor& sum) {
    if (call >= 8) sum = sum * kNan;  // from step 3 on
  };
  EXPECT_EQ(message_of<Error>([&] { rig.trainer().run(); }),
            "step 12: loss or gradient was not finite 10 times in a row (now loss nan, gradient "
            "norm nan); those steps changed no weight and there is no checkpoint yet; check "
            "student, teacher and data for non-finite values, or lower the rate");
  EXPECT_EQ(rig.sink.events.size(), 10u);
  EXPECT_EQ(rig.optimizer->steps(), 2);
}

TEST(TrainerSkip, NineInARowDoNot) {
  TrainingRig rig(settings_for(22));
  rig.loss.before_return = [](std::int64_t call, at::Tensor& sum) {
    if (call / 4 != 10) sum = sum * (call / 4 == 0 || call / 4 >= 20 ? 1.0 : kNan);
  };
  EXPECT_EQ(rig.trainer().run().skipped_steps, 18);
}

TEST(TrainerSkip, AllRanksSkipWhatOneCannotUse) {
  std::vector<std::vector<io::NamedTensor>> after(2);
  std::vector<TrainResult> results(2);
  testing::ThreadGroup group(2);
  group.run([&](dist::Communicator& ranks) {
    auto settings = settings_for(3);
    settings.ranks = &ranks;
    TrainingRig rig(settings);
    rig.loss.before_return = [&](std::int64_t call, at::Tensor& sum) {
      if (ranks.rank() == 1 && call == 3) sum = sum * kNan;  // step 2 of two micro-batches each
    };
    const auto rank = static_cast<std::size_t>(ranks.rank());
    results[rank] = rig.trainer().run();
    after[rank] = rig.snapshot();
  });
  testing::expect_same(after[0], after[1]);
  EXPECT_EQ(results[0].skipped_steps, 1);
  EXPECT_EQ(results[1].skipped_steps, 1);
}

TEST(TrainerSkip, AStepWithoutTargetsChangesNothingAndLogsZero) {
  testing::RecordingCommunicator ranks;
  ranks.multiplier = 0;  // every count comes back as 0
  auto settings = settings_for(2);
  settings.ranks = &ranks;
  TrainingRig rig(settings);
  const auto before = rig.snapshot();
  const TrainResult result = rig.trainer().run();
  testing::expect_same(rig.snapshot(), before);
  EXPECT_EQ(rig.optimizer->steps(), 0);
  EXPECT_EQ(rig.batches.position(), 16);
  EXPECT_EQ(result.steps, 2);
  EXPECT_EQ(result.skipped_steps, 0);
  ASSERT_EQ(rig.sink.steps.size(), 2u);
  for (const auto& step : rig.sink.steps) {
    for (const char* name : {"loss", "cross_entropy", "grad_norm"}) {
      EXPECT_EQ(number(step, name), 0.0) << name;
    }
  }
}

}  // namespace
}  // namespace distill::train
