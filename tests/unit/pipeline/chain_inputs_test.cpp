// What the stages of a pipeline read: named twice, or not needed any more.
#include <algorithm>

#include <gtest/gtest.h>

#include <distill/io/json_value.h>

#include "unit/pipeline/tiny_chain.h"

namespace distill::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::kModel;
using testing::TinyChain;

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
