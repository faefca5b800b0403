// What the stages of a pipeline read: changed, gone, named twice, or not needed any more.
#include <algorithm>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/io/json_value.h>

#include "unit/pipeline/tiny_chain.h"

namespace distill::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::kModel;
using testing::message_of;
using testing::read;
using testing::TinyChain;

#define EXPECT_SAYS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "not in: " << (text)

TEST(ChainInputs, InputThatChangedIsFoundBeforeTheFirstStep) {
  TinyChain chain;
  chain.run();
  std::ofstream(chain.train_file(), std::ios::app) << "{\"text\": \"one row more\"}\n";
  const std::string what = message_of<ConfigError>([&] { chain.run(); });
  EXPECT_SAYS(what, "chain.yaml:6: stages.0.data.train.0.path: ");
  EXPECT_SAYS(what, "train.jsonl has changed since the stage `three` was begun");
  EXPECT_SAYS(what, "stages.1.data.train.0.path");  // all of them at once
  const PipelineResult again = chain.run(TinyChain::two_stages(), {}, {"three"});
  EXPECT_FALSE(again.stages[1].was_done);
}

TEST(ChainInputs, AResultThatSomebodyChangedIsFound) {
  TinyChain chain;
  chain.run();
  std::ofstream(chain.in_chain("stages/three/final/config.json"), std::ios::app) << " ";
  EXPECT_SAYS(message_of<ConfigError>([&] { chain.run(); }),
              "final/config.json is another than the stage wrote");
}

TEST(ChainInputs, ALinkIntoThePipelinesFolderIsRefused) {
  TinyChain chain;
  chain.run();
  fs::create_directory_symlink(chain.output(), chain.folder / "link");
  EXPECT_SAYS(message_of<ConfigError>([&] {
                chain.run(TinyChain::two_stages(),
                          {"stages.two.teacher.model=" + (chain.folder / "link/final").string()});
              }),
              "lies in the pipeline's own folder");
}

TEST(ChainInputs, AnInputWhoseTimeWasSetBackIsFound) {
  TinyChain chain;
  chain.run();
  std::string rows = read(chain.train_file());
  const auto time = fs::last_write_time(chain.train_file());
  rows[rows.find("\"text\": \"") + 10] ^= 1;
  std::ofstream(chain.train_file()) << rows;
  fs::last_write_time(chain.train_file(), time);
  EXPECT_SAYS(message_of<ConfigError>([&] { chain.run(); }), "train.jsonl has changed since");
}

TEST(ChainInputs, InputThatIsGoneIsFoundBeforeTheFirstStep) {
  TinyChain chain;
  const fs::path folder = chain.folder / "rows";
  fs::create_directories(folder);
  for (const char* name : {"a.jsonl", "b.jsonl"}) fs::copy_file(chain.train_file(), folder / name);
  const std::vector<std::string> rows = {"data.train.0.path=" + folder.string()};
  chain.run(TinyChain::two_stages(), rows);
  fs::remove(folder / "b.jsonl");
  EXPECT_SAYS(message_of<ConfigError>([&] { chain.run(TinyChain::two_stages(), rows); }),
              "b.jsonl, which the stage `three` read, is not there any more");
}

// Student and teacher are one model, and rows of training are measured on as well.
TEST(ChainInputs, WhatIsNamedTwiceIsOneInput) {
  TinyChain chain;
  const std::string stages = "  - name: three\n    student: {model: " + kModel.string() +
                             ", init: {from: model, keep_layers: 3}}\n";
  const std::vector<std::string> same = {"data.eval=[{path: " + chain.train_file().string() + "}]"};
  chain.run(stages, same);
  EXPECT_TRUE(chain.run(stages, same).stages[0].was_done);  // its manifest can be read
  const auto value = io::read_json_file(chain.in_chain("stages/three/lineage.json"));
  const auto inputs = io::JsonCursor(value, "").at("lineage").at(0).at("inputs");
  EXPECT_TRUE(inputs.has(chain.train_file().string()));
  EXPECT_TRUE(inputs.has((kModel / "config.json").string()));
}

// A large teacher is often deleted when its answers are on the disk.
TEST(ChainInputs, ATeacherWhoseAnswersAreCachedMayGo) {
  TinyChain chain;
  const fs::path teacher = chain.folder / "teacher";
  fs::copy(kModel, teacher);
  const std::string stages =
      "  - name: answers\n    kind: cache\n    teacher: {kind: cache, model: " + teacher.string() +
      ", top_k: 8}\n"
      "  - name: taught\n    student: {model: " +
      kModel.string() +
      ", init: {from: model, keep_layers: 2}}\n"
      "    teacher: {kind: cache, path: \"${stages.answers.output}\", model: " +
      teacher.string() + ", top_k: 8}\n";
  chain.run(stages);
  fs::remove(teacher / "model.safetensors");
  const auto done = [&] {
    const PipelineResult result = chain.run(stages);
    return std::ranges::all_of(result.stages, &StageOutcome::was_done);
  };
  EXPECT_TRUE(done());
  fs::remove_all(teacher);
  EXPECT_TRUE(done());
}

}  // namespace
}  // namespace distill::pipeline
