#pragma once

#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/recipe/pipeline_recipe.h>
#include <distill/recipe/read.h>
#include "support/temp_folder.h"

namespace distill::recipe {

inline const std::string kPipeline = R"(name: chain
output: out
seed: 5
student: {init: {from: teacher, keep_layers: 4}}
teacher: {kind: local, model: models/big, quantize: int8}
data: {train: [{path: a.jsonl}], eval: [{path: b.jsonl}], sequence_length: 64}
loss: [{kind: forward_kl}]
train: {steps: 40, batch_size: 4}
stages:
  - name: half
    train: {steps: 20}
  - name: quarter
    student: {init: {keep_layers: 2}}
    teacher: {model: "${stages.half.output}"}
    loss: [{kind: cross_entropy}]
  - name: scores
    kind: evaluate
    student: {model: "${stages.quarter.output}", init: null}
)";

class PipelineRecipeTest : public ::testing::Test {
 protected:
  PipelineRecipe read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return std::get<PipelineRecipe>(read_any_recipe(text, "p.yaml", overrides, registries_));
  }
  std::string refusal(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return testing::message_of<ConfigError>([&] { read(text, overrides); });
  }
  /// The stages of kPipeline with others in their place.
  std::string with_stages(const std::string& stages) {
    return kPipeline.substr(0, kPipeline.find("  - name: half")) + stages;
  }
  static std::string local_model(const Recipe& recipe) {
    return recipe.teacher.options<LocalTeacherOptions>()->model;
  }
  Registries registries_ = builtin_registries();
};

#define EXPECT_SAYS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "not in: " << (text)

}  // namespace distill::recipe
