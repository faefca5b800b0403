#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <distill/io/jsonl.h>
#include <distill/pipeline/run.h>
#include <distill/recipe/forgetting.h>

#include "pipeline/forgetting_state.h"
#include "support/jsonl_file.h"
#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {
namespace {

using Overrides = std::vector<std::string>;

/// The whole tiny model learns junk so fast that it forgets its text at once.
class ForgettingRun : public TinyRun {
 public:
  ForgettingRun() {
    std::vector<std::string> junk;
    for (int i = 0; i < 12; ++i) junk.push_back(R"({"text": "qx zv qx zv qx zv qx zv jq"})");
    train_file = distill::testing::write_lines(folder / "junk.jsonl", junk);
  }
  /// With `react` the text of the model's own comes back.
  Overrides forgetful(const std::string& react, Overrides more = {}) const {
    const Overrides own = {
        "student={model: " + kModel.string() + "}",
        "train.optimizer.lr=2.0e-2",
        "loss=[{kind: counted_kl, weight: 0.1}, {kind: cross_entropy}]",
        "train.gradient_clip=0",
        "evaluate.sets=[{name: text, path: " + (kModel / "eval.jsonl").string() + "}]",
        "forgetting={every: 4, max_drop: 0.05" + react + "}"};
    more.insert(more.begin(), own.begin(), own.end());
    return more;
  }
  std::string replay() const {
    return ", react: {replay: [{path: " + (kModel / "train.jsonl").string() +
           ", weight: 20}], kl_weight_factor: 4, max_reactions: 2}";
  }
  std::vector<std::int64_t> steps_logged() const {
    std::vector<std::int64_t> steps;
    io::JsonlReader lines(in_run("metrics.jsonl"));
    while (const auto row = lines.next()) {
      const io::JsonCursor line(row->value, row->source);
      if (!line.has("event")) steps.push_back(line.at("step").as_int());
    }
    return steps;
  }
  std::int64_t count_events(const std::string& name) const {
    std::int64_t count = 0;
    io::JsonlReader lines(in_run("metrics.jsonl"));
    while (const auto row = lines.next()) {
      count += io::JsonCursor(row->value, row->source).string_or("event", "") == name ? 1 : 0;
    }
    return count;
  }
};

TEST(Forgetting, AMonitorAloneLooksAndWarns) {
  ForgettingRun run;
  const auto report = run.run(run.forgetful("")).report;
  ASSERT_TRUE(report.forgetting);
  EXPECT_FALSE(report.forgetting->within_limit);
  EXPECT_GT(report.forgetting->drops.at(0).second, 0.05);
  EXPECT_TRUE(report.forgetting->reactions.empty());
  EXPECT_TRUE(run.log.has("`text` is worse by "));
  EXPECT_EQ(run.count_events("forgetting"), 3);
  EXPECT_FALSE(fs::exists(run.in_run("forgetting")));
  EXPECT_EQ(report.steps, 12);
  EXPECT_NE(report_table(report).find("compared with before training: text"), std::string::npos);
}

TEST(Forgetting, GoesBackAndTrainsOnOtherDataToThePlannedSteps) {
  ForgettingRun run;
  const auto report = run.run(run.forgetful(run.replay())).report;
  ASSERT_TRUE(report.forgetting);
  ASSERT_FALSE(report.forgetting->reactions.empty());
  EXPECT_EQ(report.forgetting->reactions[0].step, 4);
  EXPECT_EQ(report.forgetting->reactions[0].back_to, 0);
  EXPECT_EQ(report.steps, 12);
  std::vector<std::int64_t> expected;
  for (std::int64_t step = 1; step <= 12; ++step) expected.push_back(step);
  EXPECT_EQ(run.steps_logged(), expected);  // steps that were given up are gone
  EXPECT_EQ(run.count_events("reaction"), std::ssize(report.forgetting->reactions));
  EXPECT_EQ(run.count_events("evaluation"), 4);  // before, steps 5 and 10, after
  EXPECT_FALSE(fs::exists(run.in_run("checkpoints/step_00000012")));
  EXPECT_TRUE(fs::exists(
      run.in_run("checkpoints/reaction_" + std::to_string(report.forgetting->reactions.size()))));
  // It forgets less than a run that does not react.
  ForgettingRun plain;
  const auto other = plain.run(plain.forgetful("")).report;
  EXPECT_LT(report.sets[0].after->value("perplexity"), other.sets[0].after->value("perplexity"));
  EXPECT_EQ(to_json(read_report(run.in_run("report.json"))), to_json(report));
}

// Where nothing is forgotten the run is the one without a monitor, bit for bit.
TEST(Forgetting, AMonitorThatSeesNothingChangesNothing) {
  ForgettingRun watched;
  const Overrides more = {"train.optimizer.lr=1.0e-4"};
  const auto report =
      watched
          .run(watched.forgetful(
              ", react: {replay: [{path: " + (kModel / "train.jsonl").string() + "}]}", more))
          .report;
  EXPECT_TRUE(report.forgetting->within_limit);
  EXPECT_TRUE(report.forgetting->reactions.empty());
  EXPECT_TRUE(fs::exists(watched.in_run("forgetting/step_00000012")));
  EXPECT_FALSE(fs::exists(watched.in_run("forgetting/step_00000008")));
  ForgettingRun plain;
  Overrides same = plain.forgetful("", more);
  same.erase(same.begin() + 5);  // `forgetting`
  plain.run(same);
  EXPECT_EQ(read(plain.in_run("final/model.safetensors")),
            read(watched.in_run("final/model.safetensors")));
}

TEST(Forgetting, StopsWhereTheRecipeSaysSo) {
  ForgettingRun run;
  const auto overrides = run.forgetful(", on_failure: stop");
  const std::string message = message_of<Error>([&] { run.run(overrides); });
  EXPECT_NE(message.find("`text` is worse by "), std::string::npos) << message;
  EXPECT_LT(message.size(), 400u);
  EXPECT_FALSE(fs::exists(run.in_run("final")));
  const Report stored = read_report(run.in_run("stopped.json"));
  EXPECT_EQ((run.folder / "run").string() + ": " + stored.stopped, message);
  EXPECT_EQ(stored.steps, 4);
  EXPECT_GT(stored.tokens, 0);
  EXPECT_GT(stored.forgetting.value().drops.at(0).second, 0.05);
  const std::string page = read(run.in_run("report.html"));
  for (const char* part : {"Stopped run", "`text` is worse by ", "nothing of it is saved as final",
                           "no set worse than before by more than", "does not hold"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(message_of<Error>([&] { run.run(overrides); }), message);  // it decides the same again
}

TEST(Forgetting, AStoppedRunReactsAndEndsAsAStraightOne) {
  ForgettingRun straight;
  straight.run(straight.forgetful(straight.replay()));
  const std::string expected = read(straight.in_run("final/model.safetensors"));
  const std::string seen = read(straight.in_run("forgetting.json"));
  for (const int calls : {3, 9, 13, 22}) {
    ForgettingRun run;
    const auto overrides = run.forgetful(run.replay());
    run.run_and_stop(calls, overrides);
    run.run(overrides);
    EXPECT_EQ(read(run.in_run("final/model.safetensors")), expected) << calls;
    EXPECT_EQ(read(run.in_run("forgetting.json")), seen) << calls;
  }
}

TEST(Forgetting, BadRecipesAreRefused) {
  ForgettingRun run;
  const auto refused = [&](const Overrides& overrides, const std::string& part) {
    const std::string message = message_of<ConfigError>([&] { run.recipe(overrides); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  refused(run.forgetful("", {"evaluate.sets=[]", "evaluate.at_start=true"}),
          "forgetting.sets: needs a set of perplexity or choice");
  refused(run.forgetful(", sets: [txt]"), "did you mean `text`?");
  refused(run.forgetful("", {"evaluate={at_start: false, sets: [{name: text, path: x}]}"}),
          "needs `evaluate.at_start`");
  refused(run.forgetful("", {"evaluate.sets=[{name: text, path: x, task: bias}]"}),
          "needs a set of perplexity or choice");
  refused(run.forgetful(", sets: [text]", {"evaluate.sets=[{name: text, path: x, task: bias}]"}),
          "has no better and worse");
  refused(run.forgetful(", react: {max_reactions: 1}"), "needs `replay` or a `kl_weight_factor`");
  refused(run.forgetful(", react: {kl_weight_factor: 0}"), "kl_weight_factor: must be above 0");
  refused(run.forgetful(", react: {kl_weight_factor: 2}",
                        {"teacher={kind: none}", "loss=[{kind: cross_entropy}]"}),
          "forgetting.react.kl_weight_factor: has no effect");
  refused(run.forgetful(", react: {replay: [{path: x}]}",
                        {"teacher={kind: cache, path: c, model: " + kModel.string() + "}"}),
          "forgetting.react.replay: needs a teacher that can be asked");
  refused({"forgetting={max_drop: 0.1}"}, "forgetting.every");
}

TEST(AfterReactions, OnlyTermsThatCompareWithTheTeacherGetOtherWeights) {
  ForgettingRun run;
  const auto recipe = run.recipe(run.forgetful(
      ", react: {kl_weight_factor: 3}",
      {"loss=[{kind: forward_kl, weight: 0.5}, {kind: cross_entropy, weight: 0.25}]"}));
  const auto changed = recipe::after_reactions(recipe, 2);
  EXPECT_EQ(changed.loss.items()[0].build()->logit_term()->weight, 4.5);
  EXPECT_EQ(changed.loss.items()[1].build()->logit_term()->weight, 0.25);
  EXPECT_EQ(recipe.loss.items()[0].build()->logit_term()->weight, 0.5);
}

}  // namespace
}  // namespace distill::pipeline::testing
