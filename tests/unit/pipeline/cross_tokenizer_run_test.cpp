// Recipes whose teacher has another tokenizer, from the recipe to the final folder.
#include <string>

#include <gtest/gtest.h>

#include <distill/core/hash.h>
#include <distill/losses/cross_entropy.h>

#include "support/shared_data.h"
#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {
namespace {

class CrossTokenizerRun : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto shared = ::distill::testing::shared_folder();
    if (!shared || !fs::exists(*shared / "models/stories260K")) {
      GTEST_SKIP() << "no shared model with another tokenizer";
    }
    teacher = "teacher={kind: local, model: " + (*shared / "models/stories260K").string() + "}";
  }
  /// What all recipes here say.
  std::vector<std::string> with(const std::string& losses) const {
    return {"student={model: " + kModel.string() + ", init: {from: model, keep_layers: 2}}",
            teacher, "loss=[" + losses + "]"};
  }
  const std::string kAll =
      "{kind: cross_entropy}, {kind: alm, weight: 0.5}, {kind: uld, weight: 0.1, top_k: 32}";
  std::string teacher;
};

TEST_F(CrossTokenizerRun, LearnsFromTextsInOtherTokens) {
  TinyRun tiny;
  const RunResult result = tiny.run(with(kAll));
  EXPECT_EQ(result.report.steps, 12);
  EXPECT_LT(result.report.after->perplexity, result.report.before->perplexity);
  EXPECT_FALSE(result.report.after->kl_to_teacher.has_value());
  EXPECT_FALSE(result.report.after->teacher_perplexity.has_value());
  const std::string metrics = read(tiny.in_run("metrics.jsonl"));
  for (const char* part : {"\"cross_entropy\":", "\"alm\":", "\"uld\":"}) {
    EXPECT_NE(metrics.find(part), std::string::npos) << part;
  }
  EXPECT_TRUE(
      tiny.log.has("the teacher has its own tokenizer: evaluations say nothing of it "
                   "(docs/cross_tokenizer.md)"));
}

/// Cross-entropy that asks the run to stop when it was formed so many times; 0: never.
class Stopping final : public losses::Loss {
 public:
  Stopping(const losses::CrossEntropyOptions& options, core::StopFlag& stop, int& calls)
      : loss_(options), stop_(stop), calls_(calls) {}
  std::string name() const override { return "stopping"; }
  bool needs_teacher() const override { return false; }
  types::LossValue operator()(const losses::LossInput& input) const override {
    if (calls_ > 0 && --calls_ == 0) stop_.request(15);
    return loss_(input);
  }

 private:
  losses::CrossEntropy loss_;
  core::StopFlag& stop_;
  int& calls_;
};

TEST_F(CrossTokenizerRun, ResumesBitForBit) {
  int calls = 0;
  const auto add_stopping = [&](TinyRun& tiny) {
    tiny.registries.losses.add<losses::CrossEntropyOptions>(
        "stopping", [&](const losses::CrossEntropyOptions& options) {
          return new Stopping(options, tiny.stop, calls);
        });
  };
  const auto recipe = with("{kind: stopping}, {kind: alm, weight: 0.5}");
  TinyRun straight;
  add_stopping(straight);
  straight.run(recipe);
  const std::string expected = core::hash_file(straight.in_run("final/model.safetensors"));
  TinyRun tiny;
  add_stopping(tiny);
  calls = 13;
  EXPECT_NE(message_of<Interrupted>([&] { tiny.run(recipe); }).find("stopped by signal 15"),
            std::string::npos);
  tiny.stop.request(0);
  tiny.run(recipe, StartPolicy::kResume);
  EXPECT_EQ(core::hash_file(tiny.in_run("final/model.safetensors")), expected);
}

TEST_F(CrossTokenizerRun, WhatDoesNotFitTogetherIsRefusedByName) {
  TinyRun tiny;
  const std::string mixed = message_of<ConfigError>(
      [&] { tiny.recipe(with("{kind: alm}, {kind: forward_kl}, {kind: hidden_mse}")); });
  EXPECT_NE(mixed.find("`forward_kl` compares ids or layers, and cannot stand beside `alm`"),
            std::string::npos)
      << mixed;
  EXPECT_NE(mixed.find("loss.2"), std::string::npos) << mixed;
  const std::string base = message_of<ConfigError>([&] {
    tiny.recipe({"student={model: " + kModel.string() + ", lora: {rank: 2, alpha: 2}}",
                 "teacher={kind: base}", "loss=[{kind: alm}]"});
  });
  EXPECT_NE(base.find("is `base`, and `alm` needs a teacher of kind `local`"), std::string::npos)
      << base;
  const std::string other = message_of<ConfigError>([&] { tiny.run(with("{kind: forward_kl}")); });
  EXPECT_NE(other.find("or losses for other tokenizers: alm, uld"), std::string::npos) << other;
}

/// With one tokenizer every token is a chunk.
TEST_F(CrossTokenizerRun, OneTokenizerIsAPairToo) {
  TinyRun tiny;
  tiny.run({"loss=[{kind: alm}, {kind: uld}]"});
  EXPECT_TRUE(fs::exists(tiny.in_run("final/model.safetensors")));
}

}  // namespace
}  // namespace distill::pipeline::testing
