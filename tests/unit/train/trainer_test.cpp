#include <distill/train/trainer.h>

#include <algorithm>

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "support/recording_communicator.h"
#include "support/recording_logger.h"

#include "training_rig.h"

namespace distill::train {
namespace {

using testing::message_of;
using testing::number;
using testing::RecordingLogger;
using testing::TrainingRig;

TEST(Trainer, ReducesTheLossOfAToyModel) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    TrainingRig::Settings settings;
    settings.dtype = dtype;
    settings.train.steps = 60;
    settings.with_teacher = true;
    TrainingRig rig(settings);
    const TrainResult result = rig.trainer().run();
    EXPECT_EQ(result.steps, 60);
    EXPECT_EQ(result.stopped_by, 0);
    ASSERT_EQ(rig.sink.steps.size(), 60u);
    EXPECT_LT(number(rig.sink.steps.back(), "cross_entropy"),
              0.6 * number(rig.sink.steps.front(), "cross_entropy"));
  }
}

TEST(Trainer, LogsWhatAStepWas) {
  TrainingRig::Settings settings;
  settings.train.steps = 3;
  settings.train.schedule = {.kind = ScheduleKind::kLinear, .min_lr_ratio = 0.5};
  settings.with_teacher = true;
  TrainingRig rig(settings);
  const TrainResult result = rig.trainer().run();
  std::vector<std::string> names;
  for (const auto& [name, value] : rig.sink.steps.at(0)) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"step", "tokens", "loss", "cross_entropy",
                                             "forward_kl", "lr", "grad_norm", "tokens_per_second",
                                             "seconds", "data_seconds", "teacher_seconds"}));
  EXPECT_EQ(std::get<std::int64_t>(rig.sink.steps[0][0].second), 1);
  EXPECT_DOUBLE_EQ(number(rig.sink.steps[0], "lr"), 0.05);
  EXPECT_DOUBLE_EQ(number(rig.sink.steps[1], "lr"), 0.05 * 0.75);
  EXPECT_DOUBLE_EQ(number(rig.sink.steps[2], "lr"), 0.05 * 0.5);
  EXPECT_NEAR(
      number(rig.sink.steps[0], "loss"),
      (number(rig.sink.steps[0], "cross_entropy") + number(rig.sink.steps[0], "forward_kl")) / 2,
      1e-6);

  TrainingRig twin(settings);  // the same batches, counted by hand
  std::int64_t tokens = 0;
  for (int i = 0; i < 3 * 4; ++i) tokens += twin.batches.next().input.input_ids.numel();
  EXPECT_EQ(result.tokens, tokens);
  EXPECT_EQ(std::get<std::int64_t>(rig.sink.steps[2][1].second), tokens);
  EXPECT_GT(result.seconds, 0);
  EXPECT_EQ(number(rig.sink.steps[2], "seconds"), result.seconds);
}

TEST(Trainer, ReportedLossIsTheMeanOverTheStepWhateverTheSplit) {
  std::vector<double> losses;
  for (const std::int64_t rows : {1, 8}) {
    TrainingRig::Settings settings;
    settings.train = {.steps = 1, .batch_size = 8, .micro_batch_size = rows};
    TrainingRig rig(settings);
    rig.trainer().run();
    losses.push_back(number(rig.sink.steps.at(0), "loss"));
  }
  EXPECT_NEAR(losses[0], losses[1], 1e-6 * losses[1]);
}

TEST(Trainer, LogsOnceWhatALossWarnsOf) {
  for (const bool with_teacher : {true, false}) {
    TrainingRig::Settings settings;
    settings.train.steps = 3;
    settings.with_teacher = with_teacher;
    TrainingRig rig(settings);
    rig.loss.to_warn_of = {"approximate"};
    auto log = std::make_unique<RecordingLogger>();
    const RecordingLogger& seen = *log;
    rig.log = std::move(log);
    rig.trainer().run();
    EXPECT_EQ(std::count(seen.lines.begin(), seen.lines.end(), "approximate"), with_teacher);
  }
}

TEST(Trainer, SameSettingsSameBits) {
  TrainingRig::Settings settings;
  settings.dtype = at::kBFloat16;
  TrainingRig a(settings);
  TrainingRig b(settings);
  a.trainer().run();
  b.trainer().run();
  testing::expect_same(a.snapshot(), b.snapshot());
}

TEST(Trainer, OnlyTheMainRankTalks) {
  testing::RecordingCommunicator ranks;
  ranks.own_rank = 1;
  ranks.num_ranks = 2;
  TrainingRig::Settings settings;
  settings.ranks = &ranks;
  settings.train.steps = 2;
  const testing::TempFolder folder;
  settings.checkpoints = folder.path();
  TrainingRig rig(settings);
  rig.trainer().run();
  EXPECT_TRUE(rig.sink.steps.empty());
  EXPECT_TRUE(rig.sink.events.empty());
  EXPECT_FALSE(std::filesystem::exists(folder / "step_00000002"));
}

TEST(Trainer, RefusesOptionsThatCannotWork) {
  const auto message = [](const auto& change) {
    TrainingRig::Settings settings;
    change(settings);
    TrainingRig rig(settings);
    return message_of<ConfigError>([&] { rig.trainer(); });
  };
  EXPECT_EQ(message([](auto& s) { s.train.batch_size = 7; }),
            "`batch_size` must be a multiple of `micro_batch_size` times the number of ranks, it "
            "is 7 with 2 rows on 1 rank");
  testing::RecordingCommunicator ranks;
  ranks.num_ranks = 3;
  EXPECT_EQ(message([&](auto& s) { s.ranks = &ranks; }),
            "`batch_size` must be a multiple of `micro_batch_size` times the number of ranks, it "
            "is 8 with 2 rows on 3 ranks");
  EXPECT_EQ(message([](auto& s) { s.train.batch_size = 0; }),
            "`batch_size` must be a multiple of `micro_batch_size` times the number of ranks, it "
            "is 0 with 2 rows on 1 rank");
  EXPECT_EQ(message([](auto& s) { s.train.gradient_clip = -1; }),
            "`gradient_clip` must not be negative, it is -1");
  EXPECT_EQ(message([](auto& s) { s.train.steps = -1; }), "`steps` must not be negative, it is -1");
  EXPECT_EQ(message([](auto& s) { s.train.max_skipped_in_a_row = 0; }),
            "`max_skipped_in_a_row` must be at least 1, it is 0");

  TrainingRig rig(TrainingRig::Settings{});
  rig.loss.with_teacher = true;
  EXPECT_EQ(message_of<ConfigError>([&] { rig.trainer(); }),
            "loss `plain` compares with a teacher, and there is none");
  TrainingRig uneven(TrainingRig::Settings{});
  uneven.settings.train.micro_batch_size = 4;  // the stream was made for 2
  EXPECT_EQ(message_of<ConfigError>([&] { uneven.trainer().run(); }),
            "batches come with 2 rows, expected `micro_batch_size` of them: 4");
  TrainingRig frozen(TrainingRig::Settings{});
  frozen.student.parameters()[1].tensor.set_requires_grad(false);
  EXPECT_EQ(message_of<ConfigError>([&] { frozen.trainer(); }),
            "parameter `lm_head.weight` is to be trained but wants no gradient");
}

}  // namespace
}  // namespace distill::train
