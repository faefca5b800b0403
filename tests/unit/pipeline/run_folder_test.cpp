#include <distill/pipeline/run_folder.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

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
  std::string text_of(const std::string& name) {
    return core::read_file(folder_ / ("run/" + name), 1 << 20);
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
  EXPECT_FALSE(fs::exists(folder_ / "run/.lock"));
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

// Only what a run writes itself, with the number of a process behind it.
TEST_F(RunFolderTest, FilesThatOnlyLookLikeLeftoversAreKept) {
  fs::create_directories(folder_ / "run/backup.tmp-2024");
  touch("backup.tmp-2024/photo");
  for (const auto policy : {StartPolicy::kAuto, StartPolicy::kRestart}) {
    EXPECT_THROW(open("a: 1\n", policy), InputError);
  }
  EXPECT_TRUE(fs::exists(folder_ / "run/backup.tmp-2024/photo"));

  fs::remove_all(folder_ / "run");
  open("a: 1\n");
  const std::vector<std::string> kept = {"my.tmp-9", "final.tmp-", "final.tmp-9b", "notes.tmp-1",
                                         "recipe.yaml.tmp"};
  for (const auto& name : kept) touch(name);
  open("a: 1\n");
  for (const auto& name : kept) EXPECT_TRUE(fs::exists(folder_ / ("run/" + name))) << name;
}

// A recipe.yaml of the user's own is not that of a run that was stopped early.
TEST_F(RunFolderTest, ARecipeThatARunDidNotWriteIsLeftAlone) {
  fs::create_directory(folder_ / "run");
  std::ofstream(folder_ / "run/recipe.yaml") << "name: mine\n";
  for (const auto policy : {StartPolicy::kAuto, StartPolicy::kResume, StartPolicy::kRestart}) {
    EXPECT_NE(message_of<InputError>([&] {
                open("a: 1\n", policy);
              }).find("holds files that are not of a run"),
              std::string::npos);
  }
  EXPECT_EQ(text_of("recipe.yaml"), "name: mine\n");
  EXPECT_FALSE(fs::exists(folder_ / "run.old-1"));
}

TEST_F(RunFolderTest, ARecipeIsComparedAsThisVersionWritesIt) {
  open("a: 1\n");
  touch("manifest.json");
  const auto with_default = [](const std::string& text) {
    return text.find("b:") == std::string::npos ? text + "b: 2\n" : text;
  };
  const auto open_later = [&](const std::string& recipe) {
    return RunFolder(folder_ / "run", recipe, StartPolicy::kAuto, log_, with_default).state();
  };
  EXPECT_EQ(open_later("a: 1\nb: 2\n"), RunFolder::State::kUnfinished);
  EXPECT_NE(message_of<ConfigError>([&] { open_later("a: 1\nb: 3\n"); }).find("b: 2 -> 3"),
            std::string::npos);
}

TEST_F(RunFolderTest, TheRecipeOfTheLastCallIsStored) {
  open("a: 1\nurl: x\n");
  touch("manifest.json");
  const auto with_url_of_now = [](const std::string& text) {
    return text.substr(0, text.find("url")) + "url: y\n";
  };
  const auto open_later = [&](const std::string& recipe) {
    return RunFolder(folder_ / "run", recipe, StartPolicy::kAuto, log_, with_url_of_now).state();
  };
  EXPECT_THROW(open_later("a: 2\nurl: y\n"), ConfigError);
  EXPECT_NE(text_of("recipe.yaml").find("url: x"), std::string::npos) << "refused, so unchanged";
  EXPECT_EQ(open_later("a: 1\nurl: y\n"), RunFolder::State::kUnfinished);
  EXPECT_TRUE(log_.has("going on with url: x -> y"));
  EXPECT_NE(text_of("recipe.yaml").find("url: y"), std::string::npos);
}

// A restart renames the folder under the feet of whoever waits for its lock.
TEST_F(RunFolderTest, RestartsAtTheSameTimeNeverShareAFolder) {
  std::atomic<int> owners = 0;
  std::atomic<int> opened = 0;
  const auto restart = [&] {
    testing::RecordingLogger log;
    for (int mine = 0, tries = 0; mine < 10 && tries < 100'000; ++tries) {
      try {
        const RunFolder run(folder_ / "run", "a: 1\n", StartPolicy::kRestart, log);
        EXPECT_EQ(++owners, 1);
        ++opened;
        ++mine;
        --owners;
      } catch (const Error&) {  // the other has it
      }
    }
  };
  std::thread other(restart);
  restart();
  other.join();
  EXPECT_EQ(opened, 20);
}

TEST_F(RunFolderTest, PathsThatCannotBeLookedAtAreInputErrors) {
  const auto open_at = [&](const fs::path& path) {
    RunFolder(path, "a: 1\n", StartPolicy::kAuto, log_);
  };
  EXPECT_THROW(open_at(folder_ / std::string(300, 'x')), InputError);
  fs::create_symlink("loop", folder_ / "loop");
  EXPECT_THROW(open_at(folder_ / "loop"), InputError);
}

TEST_F(RunFolderTest, ADamagedRecipeIsAnError) {
  open("a: 1\n");
  touch("manifest.json");
  std::ofstream(folder_ / "run/recipe.yaml", std::ios::app) << "b: [1";
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
