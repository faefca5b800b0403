// Runs whose student begins with `student.init.fit`.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/hash.h>
#include <distill/pipeline/plan.h>
#include <distill/pipeline/report.h>

#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {
namespace {

const std::string kFit = "student.init.fit={tokens: 256, ridge: 0.01}";

TEST(FitRun, BeginsNearerToTheTeacher) {
  TinyRun plain, fitted;
  const auto before = [](TinyRun& tiny, const std::vector<std::string>& overrides) {
    return tiny.run(overrides).report.before.value().kl_to_teacher.value();
  };
  EXPECT_LT(before(fitted, {kFit}), before(plain, {}));
}

// The optimizer's masters are the fitted weights too: with a rate of almost nothing they stay.
TEST(FitRun, TrainingGoesOnFromTheFittedWeights) {
  for (const char* precision : {"precision=fp32", "precision=bf16"}) {
    TinyRun tiny;
    const auto report =
        tiny.run({kFit, precision, "train.optimizer.lr=1e-12", "train.steps=3"}).report;
    EXPECT_NEAR(report.after.value().perplexity, report.before.value().perplexity,
                1e-4 * report.before.value().perplexity)
        << precision;
  }
}

TEST(FitRun, ResumesBitForBit) {
  TinyRun straight;
  straight.run({kFit});
  const std::string expected = core::hash_file(straight.in_run("final/model.safetensors"));
  for (const int calls : {1, 13}) {
    TinyRun tiny;
    tiny.run_and_stop(calls, {kFit});
    tiny.run({kFit});
    EXPECT_EQ(core::hash_file(tiny.in_run("final/model.safetensors")), expected) << calls;
  }
}

// The layers of a model that is not in memory as the teacher.
TEST(FitRun, TheSourceMayBeAnotherModelThanTheTeacher) {
  TinyRun of_teacher, of_model;
  const std::vector<std::string> same = {kFit, "student.init.from=model",
                                         "student.model=" + kModel.string()};
  of_teacher.run({kFit});
  of_model.run(same);
  EXPECT_EQ(core::hash_file(of_teacher.in_run("final/model.safetensors")),
            core::hash_file(of_model.in_run("final/model.safetensors")));
  EXPECT_EQ(of_model
                .run({"teacher={kind: none}", "loss=[{kind: cross_entropy}]",
                      "output=" + (of_model.folder / "none").string(), kFit,
                      "student.init.from=model", "student.model=" + kModel.string()})
                .report.steps,
            12);
}

TEST(FitRun, IsInThePlansMemory) {
  TinyRun tiny;
  const auto fit_of = [&](const std::vector<std::string>& overrides) {
    return make_plan(tiny.recipe(overrides), tiny.log).memory.fit;
  };
  EXPECT_EQ(fit_of({}), 0u);
  const auto some = fit_of({"student.init.fit={tokens: 10000000}"});
  const auto more = fit_of({"student.init.fit={tokens: 100000000}"});
  EXPECT_GT(some, 0u);
  EXPECT_GT(more, 5 * some);
}

// A checkpoint does not hold frozen weights, so a run that goes on would lose what was fitted.
TEST(FitRun, WhatIsFittedMustNotBeFrozen) {
  TinyRun tiny;
  const std::string message = message_of<ConfigError>([&] {
    tiny.run({kFit, "student.freeze=[\"model.layers.0.*\"]"});
  });
  EXPECT_NE(message.find("student.freeze: holds model.layers.0.mlp.down_proj.weight"),
            std::string::npos)
      << message;
  EXPECT_FALSE(fs::exists(tiny.folder / "run"));
  // All else of a layer may be.
  TinyRun straight, stopped;
  const std::vector<std::string> attention = {kFit, "student.freeze=[\"*self_attn*\"]"};
  straight.run(attention);
  stopped.run_and_stop(9, attention);
  stopped.run(attention);
  EXPECT_EQ(core::hash_file(stopped.in_run("final/model.safetensors")),
            core::hash_file(straight.in_run("final/model.safetensors")));
}

TEST(FitRun, SlipsAreFoundBeforeAnythingStarts) {
  TinyRun tiny;
  const auto refusal = [&](const std::vector<std::string>& overrides) {
    return message_of<ConfigError>([&] { tiny.recipe(overrides); });
  };
  const std::string ridge = refusal({"student.init.fit={ridge: 0}"});
  EXPECT_NE(ridge.find("student.init.fit.ridge: must be above 0"), std::string::npos) << ridge;
  const std::string order = refusal({kFit, "student.init.keep_layers=[2, 0]"});
  EXPECT_NE(order.find("student.init.fit: needs `keep_layers` in ascending order"),
            std::string::npos)
      << order;
  const std::string all = refusal({"student={init: {from: teacher, fit: {tokens: 8}}}"});
  EXPECT_NE(all.find("student.init.fit: needs `keep_layers`"), std::string::npos) << all;
}

}  // namespace
}  // namespace distill::pipeline::testing
