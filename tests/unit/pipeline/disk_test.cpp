#include "pipeline/disk.h"

#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::TinyRun;

double size_of(const fs::path& folder) {
  double bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += static_cast<double>(entry.file_size());
  }
  return bytes;
}

/// Beside tensors there are their names, and the state of the data.
void expect_about(double estimate, double real) {
  EXPECT_GE(real, estimate);
  EXPECT_LT(real, 1.15 * estimate);
}

DiskEstimate estimate(TinyRun& run, const std::vector<std::string>& overrides) {
  return make_plan(run.recipe(overrides), run.log).disk;
}

TEST(DiskEstimate, IsWhatARunAndItsAttemptsLeave) {
  TinyRun run;
  const std::vector<std::string> again = {
      "checkpoint.keep=2",
      "gates=[{require: kl_to_teacher < 0, on_failure: retry, with: {seed: 9}}]"};
  const DiskEstimate disk = estimate(run, again);
  message_of<Error>([&] { run.run(again); });
  expect_about(static_cast<double>(disk.attempts), size_of(run.in_run("attempts/1/checkpoints")));
  // Of three that are written two are kept.
  expect_about(static_cast<double>(disk.checkpoints) * 2 / 3, size_of(run.in_run("checkpoints")));
}

TEST(DiskEstimate, CountsNoMoreCheckpointsThanThereAre) {
  TinyRun run;
  const std::vector<std::string> all = {"checkpoint.keep=1000000"};
  const DiskEstimate disk = estimate(run, all);
  run.run(all);
  expect_about(static_cast<double>(disk.checkpoints), size_of(run.in_run("checkpoints")));
  expect_about(static_cast<double>(disk.model),
               static_cast<double>(fs::file_size(run.in_run("final/model.safetensors"))));
  const auto half = estimate(run, {"checkpoint.every=6", "checkpoint.keep=1000000"});
  EXPECT_EQ(half.checkpoints * 3, disk.checkpoints * 2);
  EXPECT_EQ(estimate(run, {"checkpoint.every=7", "checkpoint.keep=1000000"}).checkpoints,
            half.checkpoints);
  EXPECT_EQ(estimate(run, {"checkpoint.every=12"}).checkpoints * 3, disk.checkpoints);
}

TEST(DiskEstimate, HasTheCheckpointThatForgettingGoesBackTo) {
  TinyRun run;
  recipe::Recipe recipe = run.recipe();
  const Plan plan = make_plan(recipe, run.log);
  EXPECT_EQ(plan.disk.forgetting, 0u);
  recipe.forgetting.emplace();
  EXPECT_EQ(estimate_disk(recipe, plan).forgetting, 0u) << "it only looks";
  recipe.forgetting->react.emplace();
  const DiskEstimate disk = estimate_disk(recipe, plan);
  EXPECT_EQ(disk.forgetting, 12 * static_cast<std::uint64_t>(plan.trainable_parameters));
  EXPECT_EQ(disk.total(), plan.disk.total() + disk.forgetting);
}

}  // namespace
}  // namespace distill::pipeline
