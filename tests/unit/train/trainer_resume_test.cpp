#include <fstream>
#include <limits>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/eval/evaluate.h>

#include "support/thread_communicator.h"

#include "training_rig.h"

namespace distill::train {
namespace {

namespace fs = std::filesystem;
using testing::expect_same;
using testing::message_of;
using testing::number;
using testing::TempFolder;
using testing::TrainingRig;

constexpr int kSignal = 15;
constexpr std::int64_t kSteps = 10;

TrainingRig::Settings settings_for(at::ScalarType dtype, const fs::path& checkpoints) {
  TrainingRig::Settings settings;
  settings.dtype = dtype;
  settings.with_teacher = true;
  settings.train.steps = kSteps;
  settings.train.schedule.warmup_steps = 3;
  settings.train.checkpoint = {.every = 0, .keep = 3};
  settings.checkpoints = checkpoints;
  return settings;
}

/// What a run without a break ends with.
struct Straight {
  explicit Straight(TrainingRig::Settings settings) {
    settings.checkpoints.reset();
    settings.ranks = nullptr;
    TrainingRig rig(settings);
    rig.trainer().run();
    snapshot = rig.snapshot();
    steps = rig.sink.steps;
  }
  std::vector<io::NamedTensor> snapshot;
  std::vector<metrics::Values> steps;
};

/// The logged steps, time aside, are the straight run's from `first` (0-based) on.
void expect_same_log(const std::vector<metrics::Values>& log, const Straight& straight,
                     std::int64_t first) {
  for (std::size_t i = 0; i < log.size(); ++i) {
    const auto& expected = straight.steps.at(static_cast<std::size_t>(first) + i);
    for (const char* name : {"step", "tokens", "loss", "forward_kl", "lr", "grad_norm"}) {
      EXPECT_EQ(number(log[i], name), number(expected, name)) << name << " of step " << i + 1;
    }
  }
}

void stop_after(TrainingRig& rig, std::int64_t step) {
  rig.after_step = [&rig, step](std::int64_t done) {
    if (done == step) rig.stop.request(kSignal);
  };
}

class TrainerResumeDtypes : public ::testing::TestWithParam<at::ScalarType> {};
INSTANTIATE_TEST_SUITE_P(Dtypes, TrainerResumeDtypes, ::testing::Values(at::kFloat, at::kBFloat16));

TEST_P(TrainerResumeDtypes, AStopAfterAnyStepChangesNothing) {
  const Straight straight(settings_for(GetParam(), {}));
  for (std::int64_t step = 1; step < kSteps; ++step) {
    SCOPED_TRACE(step);
    const TempFolder folder;
    const auto settings = settings_for(GetParam(), folder.path());
    TrainingRig first(settings);
    stop_after(first, step);
    const TrainResult stopped = first.trainer().run();
    EXPECT_EQ(stopped.stopped_by, kSignal);
    EXPECT_EQ(stopped.steps, step);
    EXPECT_EQ(first.sink.events.back().first, "stopped");

    TrainingRig second(settings);
    Trainer trainer = second.trainer();
    EXPECT_EQ(trainer.restore(), step);
    const TrainResult result = trainer.run();
    EXPECT_EQ(result.steps, kSteps);
    EXPECT_EQ(result.stopped_by, 0);
    EXPECT_GT(result.seconds, stopped.seconds);
    EXPECT_EQ(second.sink.events.front().first, "resume");
    expect_same(second.snapshot(), straight.snapshot);
    expect_same_log(second.sink.steps, straight, step);
  }
}

// What is kept aside in the middle of a step's end is gone on from as if nothing had happened.
TEST_P(TrainerResumeDtypes, AStepThatWasKeptAsideIsGoneOnFrom) {
  const Straight straight(settings_for(GetParam(), {}));
  const TempFolder folder;
  io::CheckpointStore aside(folder / "aside");
  {
    TrainingRig rig(settings_for(GetParam(), folder / "first"));
    Trainer* running = nullptr;
    rig.after_step = [&](std::int64_t step) {
      if (step % 3 == 0) running->save_aside(aside);
    };
    Trainer trainer = rig.trainer();
    running = &trainer;
    trainer.run();
  }
  EXPECT_FALSE(fs::exists(folder / "aside/step_00000006"));  // the newest alone
  TrainingRig rig(settings_for(GetParam(), folder / "second"));
  std::vector<std::int64_t> after;
  rig.after_step = [&after](std::int64_t step) { after.push_back(step); };
  Trainer trainer = rig.trainer();
  EXPECT_EQ(trainer.restore(&aside), 9);
  trainer.run();
  EXPECT_EQ(after, (std::vector<std::int64_t>{9, 10}));
  expect_same(rig.snapshot(), straight.snapshot);
  // The run's own checkpoint is newer.
  TrainingRig last(settings_for(GetParam(), folder / "second"));
  EXPECT_EQ(last.trainer().restore(&aside), kSteps);
}

TEST_P(TrainerResumeDtypes, AStopAfterEveryStepChangesNothing) {
  const Straight straight(settings_for(GetParam(), {}));
  const TempFolder folder;
  const auto settings = settings_for(GetParam(), folder.path());
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    TrainingRig rig(settings);
    Trainer trainer = [&] {
      stop_after(rig, step);
      return rig.trainer();
    }();
    EXPECT_EQ(trainer.restore(), step - 1);
    trainer.run();
    expect_same_log(rig.sink.steps, straight, step - 1);
    if (step == kSteps) expect_same(rig.snapshot(), straight.snapshot);
  }
}

TEST_P(TrainerResumeDtypes, AStopBetweenMicroBatchesGivesTheStepUp) {
  const Straight straight(settings_for(GetParam(), {}));
  for (std::int64_t call = 0; call < 4 * kSteps; call += 3) {
    SCOPED_TRACE(call);
    const TempFolder folder;
    const auto settings = settings_for(GetParam(), folder.path());
    TrainingRig first(settings);
    first.loss.before_return = [&](std::int64_t now, at::Tensor&) {
      if (now == call) first.stop.request(kSignal);
    };
    const TrainResult stopped = first.trainer().run();
    // In the last micro-batch there is nothing left to give up.
    const std::int64_t done = call % 4 == 3 ? call / 4 + 1 : call / 4;
    EXPECT_EQ(stopped.steps, done);
    EXPECT_EQ(first.batches.position(), 8 * done);
    for (const auto& parameter : first.student.parameters()) {
      EXPECT_FALSE(parameter.tensor.grad().defined());
    }

    TrainingRig second(settings);
    Trainer trainer = second.trainer();
    EXPECT_EQ(trainer.restore(), done);
    trainer.run();
    expect_same(second.snapshot(), straight.snapshot);
  }
}

TEST(TrainerResume, TheSameTrainerMayGoOnAfterAStop) {
  const TempFolder folder;
  const auto settings = settings_for(at::kFloat, folder.path());
  const Straight straight(settings);
  TrainingRig rig(settings);
  rig.loss.before_return = [&](std::int64_t call, at::Tensor&) {
    if (call == 13) rig.stop.request(kSignal);
  };
  Trainer trainer = rig.trainer();
  EXPECT_EQ(trainer.run().steps, 3);
  rig.stop.request(0);
  EXPECT_EQ(trainer.run().steps, kSteps);
  expect_same(rig.snapshot(), straight.snapshot);
}

void damage(const fs::path& path, int how) {
  if (how == 0) {  // one bit in the middle
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<std::streamoff>(fs::file_size(path) / 2);
    file.seekg(middle);
    const char byte = static_cast<char>(file.get() ^ 0x10);
    file.seekp(middle);
    file.put(byte);
  } else if (how == 1) {
    fs::resize_file(path, fs::file_size(path) / 2);
  } else if (how == 2) {
    fs::resize_file(path, 0);
  } else {
    fs::remove(path);
  }
}

TEST(TrainerResume, FallsBackFromADamagedCheckpointAndEndsTheSame) {
  for (const char* file : {"optimizer.safetensors", "state.json"}) {
    for (int how = 0; how < 4; ++how) {
      SCOPED_TRACE(std::string(file) + " damage " + std::to_string(how));
      const TempFolder folder;
      auto settings = settings_for(at::kBFloat16, folder.path());
      settings.train.checkpoint.every = 2;
      const Straight straight(settings);
      TrainingRig first(settings);
      stop_after(first, 6);
      first.trainer().run();
      damage(folder / "step_00000006" / file, how);

      TrainingRig second(settings);
      Trainer trainer = second.trainer();
      EXPECT_EQ(trainer.restore(), 4);
      trainer.run();
      expect_same(second.snapshot(), straight.snapshot);
      // The damaged one was replaced on the way, or is gone.
      TrainingRig third(settings);
      EXPECT_EQ(third.trainer().restore(), kSteps);
      expect_same(third.snapshot(), straight.snapshot);
    }
  }
}

TEST(TrainerResume, SkippedStepsAreCountedOnAcrossAStop) {
  const TempFolder folder;
  auto settings = settings_for(at::kFloat, folder.path());
  settings.train.max_skipped_in_a_row = 4;
  TrainingRig first(settings);
  first.loss.before_return = [](std::int64_t call, at::Tensor& sum) {
    if (call >= 4) sum = sum * std::numeric_limits<double>::quiet_NaN();
  };
  stop_after(first, 4);
  EXPECT_EQ(first.trainer().run().skipped_steps, 3);

  TrainingRig second(settings);
  second.loss.before_return = [](std::int64_t, at::Tensor& sum) {
    sum = sum * std::numeric_limits<double>::quiet_NaN();
  };
  Trainer trainer = second.trainer();
  trainer.restore();
  const std::string message = message_of<Error>([&] { trainer.run(); });
  EXPECT_NE(message.find("step 5: "), std::string::npos) << message;
  EXPECT_NE(message.find("the last checkpoint is step 4"), std::string::npos) << message;
}

TEST(TrainerResume, CheckpointsAreWrittenAtTheIntervalAndAtTheEnd) {
  const TempFolder folder;
  auto settings = settings_for(at::kFloat, folder.path());
  settings.train.checkpoint = {.every = 4, .keep = 2};
  TrainingRig rig(settings);
  rig.trainer().run();
  EXPECT_TRUE(fs::exists(folder / "step_00000010"));
  EXPECT_TRUE(fs::exists(folder / "step_00000008"));
  EXPECT_FALSE(fs::exists(folder / "step_00000004"));

  const auto written = fs::last_write_time(folder / "step_00000010" / "state.json");
  TrainingRig again(settings);
  Trainer trainer = again.trainer();
  EXPECT_EQ(trainer.restore(), kSteps);
  EXPECT_EQ(trainer.run().steps, kSteps);
  EXPECT_TRUE(again.sink.steps.empty());
  EXPECT_EQ(fs::last_write_time(folder / "step_00000010" / "state.json"), written);
}

TEST(TrainerResume, AStopBeforeTheFirstStepSavesNothing) {
  const TempFolder folder;
  const auto settings = settings_for(at::kFloat, folder.path());
  TrainingRig rig(settings);
  rig.stop.request(kSignal);
  Trainer trainer = rig.trainer();
  EXPECT_EQ(trainer.restore(), 0);
  const TrainResult result = trainer.run();
  EXPECT_EQ(result.steps, 0);
  EXPECT_EQ(result.stopped_by, kSignal);
  EXPECT_FALSE(fs::exists(folder / "step_00000000"));
}

TEST(TrainerResume, AnInterruptedEvaluationIsRepeated) {
  const TempFolder folder;
  const auto settings = settings_for(at::kFloat, folder.path());
  const Straight straight(settings);
  TrainingRig first(settings);
  first.after_step = [&](std::int64_t step) {
    if (step != 5) return;
    first.stop.request(kSignal);
    throw eval::Stopped("stopped");
  };
  EXPECT_EQ(first.trainer().run().steps, 5);

  TrainingRig second(settings);
  std::vector<std::int64_t> seen;
  second.after_step = [&](std::int64_t step) { seen.push_back(step); };
  Trainer trainer = second.trainer();
  EXPECT_EQ(trainer.restore(), 5);
  trainer.run();
  EXPECT_EQ(seen, (std::vector<std::int64_t>{5, 6, 7, 8, 9, 10}));
  expect_same(second.snapshot(), straight.snapshot);
}

TEST(TrainerResume, ACheckpointOfOtherParametersIsRefused) {
  const TempFolder folder;
  const auto settings = settings_for(at::kFloat, folder.path());
  TrainingRig first(settings);
  stop_after(first, 1);
  first.trainer().run();
  TrainingRig second(settings);
  auto parameters = second.student.parameters();
  parameters.pop_back();
  second.optimizer = make_adamw({}, parameters);
  const std::string message = message_of<FormatError>([&] { second.trainer().restore(); });
  EXPECT_NE(message.find("optimizer.safetensors: tensor `"), std::string::npos) << message;
  EXPECT_NE(message.find("belongs to no trained parameter"), std::string::npos) << message;
}

TEST(TrainerResume, TwoRanksStopTogetherAndEndTheSame) {
  const TempFolder folder;
  std::vector<std::vector<io::NamedTensor>> straight(2);
  std::vector<std::vector<io::NamedTensor>> resumed(2);
  std::vector<TrainResult> stopped(2);
  testing::ThreadGroup group(2);
  // Made before the ranks start: opening a store removes leftovers.
  const auto settings_of = [&](dist::Communicator& ranks) {
    auto settings = settings_for(at::kBFloat16, folder.path());
    settings.ranks = &ranks;
    return settings;
  };
  group.run([&](dist::Communicator& ranks) {
    auto settings = settings_of(ranks);
    settings.checkpoints.reset();
    TrainingRig rig(settings);
    rig.trainer().run();
    straight[static_cast<std::size_t>(ranks.rank())] = rig.snapshot();
  });
  group.run([&](dist::Communicator& ranks) {
    TrainingRig rig(settings_of(ranks));
    rig.loss.before_return = [&](std::int64_t call, at::Tensor&) {
      if (ranks.rank() == 1 && call == 8) rig.stop.request(kSignal);  // in step 5
    };
    stopped[static_cast<std::size_t>(ranks.rank())] = rig.trainer().run();
  });
  group.run([&](dist::Communicator& ranks) {
    TrainingRig rig(settings_of(ranks));
    Trainer trainer = rig.trainer();
    EXPECT_EQ(trainer.restore(), 4);
    trainer.run();
    resumed[static_cast<std::size_t>(ranks.rank())] = rig.snapshot();
  });
  for (std::size_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(stopped[rank].steps, 4);
    EXPECT_EQ(stopped[rank].stopped_by, kSignal);
    expect_same(resumed[rank], straight[rank]);
  }
  expect_same(resumed[0], resumed[1]);
}

}  // namespace
}  // namespace distill::train
