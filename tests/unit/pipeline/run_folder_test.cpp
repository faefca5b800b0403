#include <distill/pipeline/run_folder.h>

#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include "support/recording_logger.h"
#include "support/temp_folder.h"

namespace distill::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::message_of;

class RunFolderTest : public ::testing::Test {
 protected:
  RunFolder open(const std::string& recipe, StartPolicy policy = StartPolicy::kAuto) {
    return RunFolder(folder_ / "run", recipe, policy, log_);
  }
  void touch(const std::string& name) { std::ofstream(folder_ / ("run/" + name)) << "x"; }

  testing::TempFolder folder_;
  testing::RecordingLogger log_;
};

TEST_F(RunFolderTest, StatesFollowTheFiles) {
  EXPECT_EQ(open("a: 1\n").state(), RunFolder::State::kNew);
  touch("manifest.json");
  EXPECT_EQ(open("a: 1\n").state(), RunFolder::State::kUnfinished);
  touch("report.json");
  EXPECT_EQ(open("a: 1\n").state(), RunFolder::State::kUnfinished);
  fs::create_directory(folder_ / "run/final");
  EXPECT_EQ(open("a: 1\n").state(), RunFolder::State::kFinished);
}

TEST_F(RunFolderTest, ASecondProcessIsRefused) {
  const RunFolder first = open("a: 1\n");
  EXPECT_NE(
      message_of<InputError>([&] { open("a: 1\n"); }).find("another process is using this folder"),
      std::string::npos);
  EXPECT_NE(message_of<InputError>([&] {
              open("a: 1\n", StartPolicy::kRestart);
            }).find("another process"),
            std::string::npos);
}

TEST_F(RunFolderTest, OtherPeoplesFilesAreLeftAlone) {
  fs::create_directory(folder_ / "run");
  touch("thesis.txt");
  for (const auto policy : {StartPolicy::kAuto, StartPolicy::kResume, StartPolicy::kRestart}) {
    EXPECT_NE(message_of<InputError>([&] {
                open("a: 1\n", policy);
              }).find("holds files that are not of a run"),
              std::string::npos);
  }
  EXPECT_TRUE(fs::exists(folder_ / "run/thesis.txt"));
}

TEST_F(RunFolderTest, NothingToResume) {
  EXPECT_NE(message_of<InputError>([&] {
              open("a: 1\n", StartPolicy::kResume);
            }).find("no run to resume"),
            std::string::npos);
}

TEST_F(RunFolderTest, LeftoversOfAKilledProcessAreRemoved) {
  fs::create_directory(folder_ / "run");
  touch("recipe.yaml.tmp-123");
  EXPECT_EQ(open("a: 1\n").state(), RunFolder::State::kNew);
  touch("manifest.json");
  fs::create_directory(folder_ / "run/final.tmp-9");
  EXPECT_EQ(open("a: 1\n").state(), RunFolder::State::kUnfinished);
  EXPECT_FALSE(fs::exists(folder_ / "run/final.tmp-9"));
}

TEST_F(RunFolderTest, ADamagedRecipeIsAnError) {
  open("a: 1\n");
  touch("manifest.json");
  std::ofstream(folder_ / "run/recipe.yaml") << "a: [1";
  EXPECT_NE(message_of<ConfigError>([&] { open("a: 1\n"); }).find("recipe.yaml:"),
            std::string::npos);
}

TEST_F(RunFolderTest, AFileInTheWay) {
  std::ofstream(folder_ / "run") << "x";
  EXPECT_NE(message_of<InputError>([&] { open("a: 1\n"); }).find("could not make the run folder"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::pipeline
