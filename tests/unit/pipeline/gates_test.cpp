#include "pipeline/gates.h"

#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/io/jsonl.h>

#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::read;
using testing::TinyRun;

#define EXPECT_SAYS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "not in: " << (text)

std::vector<std::string> gates(const std::string& list) {
  return {"gates=" + list};
}

std::int64_t count_events(const fs::path& metrics, const std::string& name) {
  std::int64_t count = 0;
  io::JsonlReader lines(metrics);
  while (const auto row = lines.next()) {
    if (io::JsonCursor(row->value, "").string_or("event", "") == name) ++count;
  }
  return count;
}

TEST(Gates, ThatHoldAreReported) {
  TinyRun run;
  const auto result = run.run(gates("[{require: kl_to_teacher < 100}]"));
  ASSERT_EQ(result.report.gates.size(), 1u);
  EXPECT_TRUE(result.report.gates[0].holds);
  EXPECT_EQ(result.report.gates[0].value, result.report.after->kl_to_teacher);
  EXPECT_EQ(count_events(run.in_run("metrics.jsonl"), "gate"), 1);
  const Report stored = read_report(run.in_run("report.json"));
  EXPECT_EQ(stored.gates.at(0).require, "kl_to_teacher < 100");
}

TEST(Gates, AWarningLetsTheRunGoOn) {
  TinyRun run;
  const auto result = run.run(gates("[{require: kl_to_teacher < 0, on_failure: warn}]"));
  EXPECT_FALSE(result.report.gates.at(0).holds);
  EXPECT_TRUE(fs::exists(run.in_run("final/model.safetensors")));
  EXPECT_TRUE(run.log.has("gate `kl_to_teacher < 0`: does not hold, it is "));
}

TEST(Gates, AStopLeavesNoFinalModelAndALooserGateGoesOn) {
  TinyRun run;
  const auto strict = gates("[{require: kl_to_teacher < 0}]");
  const std::string what = message_of<Error>([&] { run.run(strict); });
  EXPECT_SAYS(what, "so final/ is not written; change the recipe and add --restart, or loosen");
  EXPECT_FALSE(fs::exists(run.in_run("final")));
  EXPECT_FALSE(fs::exists(run.in_run("report.json")));
  const std::string metrics = read(run.in_run("metrics.jsonl"));
  EXPECT_SAYS(message_of<Error>([&] { run.run(strict); }), "does not hold");  // and again
  EXPECT_EQ(count_events(run.in_run("metrics.jsonl"), "gate"), 1);
  const auto result = run.run(gates("[{require: kl_to_teacher < 100}]"));
  EXPECT_EQ(result.report.steps, 12);
  EXPECT_TRUE(fs::exists(run.in_run("final/model.safetensors")));
}

TEST(Gates, AStopLeavesAPageThatSaysWhy) {
  TinyRun run;
  message_of<Error>([&] { run.run(gates("[{require: kl_to_teacher < 0}]")); });
  const std::string page = read(run.in_run("report.html"));
  EXPECT_SAYS(page, "Stopped run");
  EXPECT_SAYS(page, "gate `kl_to_teacher &lt; 0`: does not hold, it is ");
  EXPECT_SAYS(page, "<span class=\"no\">does not hold</span>");
  const Report stored = read_report(run.in_run("stopped.json"));
  EXPECT_EQ(stored.steps, 12);
  EXPECT_TRUE(stored.after);
  EXPECT_SAYS(stored.stopped, "does not hold");
  run.run(gates("[{require: kl_to_teacher < 100}]"));
  EXPECT_FALSE(fs::exists(run.in_run("stopped.json")));
  EXPECT_SAYS(read(run.in_run("report.html")), "Distillation run");
  EXPECT_EQ(read(run.in_run("report.json")).find("stopped"), std::string::npos);
}

TEST(Gates, EachTryThatWasNotGoodEnoughLeavesItsPage) {
  TinyRun run;
  message_of<Error>([&] {
    run.run(gates("[{require: kl_to_teacher < 0, on_failure: retry, with: {train.steps: 4}}]"));
  });
  EXPECT_EQ(read_report(run.in_run("attempts/1/stopped.json")).steps, 12);
  EXPECT_SAYS(read(run.in_run("attempts/1/report.html")), "12 steps");
  EXPECT_EQ(read_report(run.in_run("stopped.json")).steps, 4);
  EXPECT_SAYS(read(run.in_run("report.html")), "Attempt 2");
  const auto earlier = read_report(run.in_run("stopped.json")).earlier_attempts;
  const Report first = read_report(run.in_run("attempts/1/stopped.json"));
  EXPECT_FALSE(first.earlier_attempts);
  EXPECT_EQ(earlier->tokens, first.tokens);
  EXPECT_EQ(earlier->seconds, first.seconds);
  EXPECT_SAYS(read(run.in_run("report.html")), "of the attempt that counts; ");
}

TEST(Gates, ARetryBeginsAnewWithOtherSettings) {
  TinyRun straight;
  const auto expected = straight.run({"train.steps=20"});
  TinyRun run;
  const double reached = *expected.report.after->kl_to_teacher;
  const std::string gate =
      core::concat("[{require: kl_to_teacher <= ", core::JsonWriter().value(reached).text(),
                   ", on_failure: retry, with: [{train.steps: 4}, {train.steps: 20}]}]");
  const auto result = run.run(gates(gate));
  EXPECT_EQ(result.report.attempt, 3);
  EXPECT_EQ(result.report.settings, std::vector<std::string>{"train.steps=20"});
  EXPECT_EQ(result.report.steps, 20);
  EXPECT_EQ(read(run.in_run("final/model.safetensors")),
            read(straight.in_run("final/model.safetensors")));
  EXPECT_TRUE(fs::exists(run.in_run("attempts/1/checkpoints")));
  EXPECT_TRUE(fs::exists(run.in_run("attempts/2/evaluation_after.json")));
  // It is done for the recipe that asked for it.
  EXPECT_TRUE(run.run(gates(gate)).was_finished);
}

TEST(Gates, ThatCameLaterHoldForARunThatIsDone) {
  TinyRun run;
  run.run();
  const std::string weights = read(run.in_run("final/model.safetensors"));
  const std::string what =
      message_of<Error>([&] { run.run(gates("[{require: kl_to_teacher < 0}]")); });
  EXPECT_SAYS(what, "gate `kl_to_teacher < 0`: does not hold, it is ");
  EXPECT_SAYS(what, "final/ is not to be used, and stays as it is");
  EXPECT_EQ(read(run.in_run("final/model.safetensors")), weights);
  const auto warned = run.run(gates("[{require: kl_to_teacher < 0, on_failure: warn}]"));
  EXPECT_TRUE(warned.was_finished);
  EXPECT_FALSE(warned.report.gates.at(0).holds);
  const std::string again =
      core::concat("[{require: kl_to_teacher < ",
                   core::JsonWriter().value(*warned.report.after->kl_to_teacher).text(),
                   ", on_failure: retry, with: {train.steps: 20}}]");
  const auto retried = run.run(gates(again));
  EXPECT_FALSE(retried.was_finished);
  EXPECT_EQ(retried.report.attempt, 2);
  EXPECT_EQ(retried.report.steps, 20);
  EXPECT_EQ(read(run.in_run("attempts/1/final/model.safetensors")), weights);
  EXPECT_TRUE(run.run(gates(again)).was_finished);
}

TEST(Gates, FurtherTriesAreCheckedAsRecipesBeforeTheFirst) {
  TinyRun run;
  const auto refusal = [&](const std::string& with) {
    return message_of<ConfigError>([&] {
      run.run(gates("[{require: perplexity < 0, on_failure: retry, with: [{train.steps: 4}, " +
                    with + "]}]"));
    });
  };
  EXPECT_SAYS(refusal("{teacher.model: /nowhere/model}"), "gates.0.with.1: ");
  EXPECT_SAYS(refusal("{student.init.keep_layers: 5}"), "has 4 layers");
  EXPECT_SAYS(refusal("{data.train: [{path: /nowhere/rows.jsonl}]}"), "/nowhere/rows.jsonl");
  EXPECT_SAYS(refusal("{evaluate.at_end: false}"), "`perplexity` is not measured");
  EXPECT_FALSE(fs::exists(run.in_run("recipe.yaml")));
}

TEST(Gates, WhenTheTriesAreUsedUpTheRunStops) {
  TinyRun run;
  const auto strict =
      gates("[{require: kl_to_teacher < 0, on_failure: retry, with: {train.steps: 4}}]");
  try {
    run.run(strict);
    ADD_FAILURE() << "it is not to be used";
  } catch (const RunStopped& why) {
    EXPECT_SAYS(std::string(why.what()), "after 2 attempts");
    EXPECT_EQ(why.report().steps, 4);
    EXPECT_EQ(to_json(why.report()), read(run.in_run("stopped.json")));
  }
  EXPECT_FALSE(fs::exists(run.in_run("final")));
}

TEST(Gates, AStoppedRetryGoesOnWhereItWas) {
  const auto again = gates(
      "[{require: kl_to_teacher < 0, on_failure: retry, with: {seed: 9}}, "
      "{require: perplexity > 0}]");
  TinyRun straight;
  message_of<Error>([&] { straight.run(again); });
  TinyRun run;
  run.run_and_stop(24 + 6, again);  // in the second attempt
  EXPECT_TRUE(fs::exists(run.in_run("attempts/1")));
  message_of<Error>([&] { run.run(again); });
  EXPECT_TRUE(run.log.has("going on from step"));
  EXPECT_EQ(read(run.in_run("checkpoints/step_00000012/optimizer.safetensors")),
            read(straight.in_run("checkpoints/step_00000012/optimizer.safetensors")));
}

TEST(Gates, OnWhatIsNotMeasuredAreRefusedWithTheirLine) {
  TinyRun run;
  const std::string what = message_of<ConfigError>([&] {
    run_recipe(recipe::read_recipe(run.text() + "gates:\n  - {require: kl_to_techer < 1}\n",
                                   "r.yaml", {}, run.registries),
               {}, run.log);
  });
  EXPECT_SAYS(what,
              "r.yaml:20: gates.0.require: `kl_to_techer` is not measured (did you mean "
              "`kl_to_teacher`?)");
  EXPECT_FALSE(fs::exists(run.in_run("recipe.yaml")));
}

TEST(Gates, OnASetThatCannotBeReadWaitForItAndHideNothing) {
  TinyRun run;
  const auto refusal = [&](const std::string& set) {
    return message_of<ConfigError>([&] {
      run.run({"evaluate.sets=[{name: bias, task: bias, path: " + set + "}]",
               "student.init.from=model", "student.model=/nowhere/model",
               "gates=[{require: bias.stereotype_share < 1}, {require: nonsense < 1}]"});
    });
  };
  const std::string missing = refusal("/nowhere/set.jsonl");
  EXPECT_SAYS(missing, "/nowhere/set.jsonl: no such file");
  EXPECT_SAYS(missing, "/nowhere/model: no such folder");
  EXPECT_SAYS(missing, "gates.1.require: `nonsense` is not measured");
  EXPECT_EQ(missing.find("gates.0.require"), std::string::npos) << missing;
  const fs::path bad = run.folder / "bad.jsonl";
  std::ofstream(bad) << "{\n";
  const std::string damaged = refusal(bad.string());
  EXPECT_SAYS(damaged, "evaluate.sets.0: " + bad.string() + ":1");
  EXPECT_SAYS(damaged, "/nowhere/model: no such folder");
  EXPECT_SAYS(damaged, "gates.1.require: `nonsense` is not measured");
}

}  // namespace
}  // namespace distill::pipeline
