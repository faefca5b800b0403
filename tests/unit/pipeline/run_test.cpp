#include <distill/pipeline/run.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/io/json_value.h>
#include <distill/models/load.h>
#include <distill/pipeline/manifest.h>
#include <distill/pipeline/plan.h>
#include <distill/pipeline/report.h>
#include <distill/recipe/wiring.h>
#include <distill/recipe/write.h>

#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {
namespace {

int count_lines(const fs::path& path, const std::string& part) {
  std::istringstream lines(read(path));
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    count += line.find(part) != std::string::npos ? 1 : 0;
  }
  return count;
}

TEST(Run, LeavesAWholeRunFolder) {
  TinyRun tiny;
  const RunResult result = tiny.run();
  EXPECT_FALSE(result.was_finished);
  EXPECT_EQ(result.report.steps, 12);
  ASSERT_TRUE(result.report.before && result.report.after);
  EXPECT_LT(*result.report.after->kl_to_teacher, *result.report.before->kl_to_teacher);
  EXPECT_GT(result.report.tokens, 0);
  EXPECT_GT(result.report.peak_memory_bytes, 1u << 20);

  EXPECT_EQ(read(tiny.in_run("recipe.yaml")),
            "# resolved recipe of a run, written by distill_train\n" +
                recipe::write_recipe(tiny.recipe()));
  EXPECT_EQ(count_lines(tiny.in_run("metrics.jsonl"), "\"grad_norm\""), 12);
  EXPECT_EQ(count_lines(tiny.in_run("metrics.jsonl"), "\"event\":\"evaluation\""), 4);  // 0 5 10 12
  EXPECT_TRUE(fs::exists(tiny.in_run("checkpoints/step_00000012")));

  const io::JsonValue json = io::read_json_file(tiny.in_run("report.json"));
  const io::JsonCursor report(json, "report.json");
  for (const char* name : {"tokens", "seconds", "tokens_per_second", "peak_memory_bytes"}) {
    EXPECT_GT(report.at(name).as_double(), 0) << name;
  }
  for (const char* part : {"before", "after"}) {
    EXPECT_GT(report.at(part).at("perplexity").as_double(), 1);
    EXPECT_GT(report.at(part).at("kl_to_teacher").as_double(), 0);
    EXPECT_LE(report.at(part).at("top1_agreement").as_double(), 1);
  }
  const auto student = models::load_causal_lm(tiny.in_run("final"), {});
  EXPECT_EQ(student->shape().num_layers, 2);
  EXPECT_EQ(student->shape().num_parameters, result.report.student.parameters);
}

TEST(Run, ManifestNamesWhatItIsMadeFrom) {
  TinyRun tiny;
  tiny.run({"train.steps=3", "checkpoint.every=0"});
  const io::JsonValue json = io::read_json_file(tiny.in_run("manifest.json"));
  const io::JsonCursor manifest(json, "manifest.json");
  EXPECT_EQ(manifest.at("seed").as_int(), 17);
  EXPECT_FALSE(manifest.at("versions").at("libtorch").as_string().empty());
  EXPECT_EQ(manifest.at("teacher").at("files").at("model.safetensors").as_string(),
            core::hash_file(kModel / "model.safetensors"));
  EXPECT_EQ(manifest.at("student").at("layers").size(), 2u);
  EXPECT_EQ(manifest.at("data").at("train").at("files").at(tiny.train_file.string()).as_string(),
            core::hash_file(tiny.train_file));
  EXPECT_FALSE(manifest.at("tokenizer").at("fingerprint").as_string().empty());
}

TEST(Run, FrozenParametersStayAndOthersMove) {
  TinyRun tiny;
  tiny.run({"train.steps=3"});
  models::LoadOptions options;
  options.keep_layers = {0, 3};
  const auto before = models::load_causal_lm(kModel, options)->parameters();
  const auto after = models::load_causal_lm(tiny.in_run("final"), {})->parameters();
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].name, after[i].name);
    EXPECT_EQ(before[i].tensor.equal(after[i].tensor),
              before[i].name == "model.embed_tokens.weight")
        << before[i].name;
  }
}

TEST(Run, AFinishedRunIsNotRepeated) {
  TinyRun tiny;
  const RunResult first = tiny.run({"train.steps=3"});
  const std::string metrics = read(tiny.in_run("metrics.jsonl"));
  const RunResult second = tiny.run({"train.steps=3"});
  EXPECT_TRUE(second.was_finished);
  EXPECT_EQ(to_json(second.report), to_json(first.report));
  EXPECT_EQ(read(tiny.in_run("metrics.jsonl")), metrics);
}

// Stopped in the middle of a step, during an evaluation and after a checkpoint: the end is the same
// to the last bit.
TEST(Run, ResumesBitForBit) {
  TinyRun straight;
  straight.run();
  const std::string expected = core::hash_file(straight.in_run("final/model.safetensors"));
  for (const int calls : {1, 8, 13, 23}) {
    TinyRun tiny;
    const std::string message = tiny.run_and_stop(calls);
    EXPECT_NE(message.find("stopped by signal 15 after step "), std::string::npos) << message;
    EXPECT_NE(message.find(calls > 1 ? "which is saved; run the same" : "nothing to save yet; run"),
              std::string::npos)
        << message;
    EXPECT_FALSE(fs::exists(tiny.in_run("final")));
    tiny.run({}, calls > 1 ? StartPolicy::kResume : StartPolicy::kAuto);
    EXPECT_EQ(core::hash_file(tiny.in_run("final/model.safetensors")), expected) << calls;
    EXPECT_EQ(count_lines(tiny.in_run("metrics.jsonl"), "\"grad_norm\""), 12) << calls;
  }
}

/// The whole `event` lines of the evaluation at `step`.
int evaluations_at(const TinyRun& tiny, const std::string& step) {
  return count_lines(tiny.in_run("metrics.jsonl"),
                     "\"event\":\"evaluation\",\"step\":" + step + ",");
}

// A process may end between any two of: writing an evaluation, its line, and the report.
TEST(Run, EveryEvaluationIsLoggedOnce) {
  TinyRun tiny;
  tiny.run({"train.steps=3"});
  ASSERT_EQ(evaluations_at(tiny, "3"), 1);
  fs::remove(tiny.in_run("report.json"));
  eval::Evaluation kept = read_evaluation(tiny.in_run("evaluation_after.json"));
  kept.perplexity = 12345.5;
  write_evaluation(tiny.in_run("evaluation_after.json"), kept);
  EXPECT_EQ(tiny.run({"train.steps=3"}).report.after->perplexity, 12345.5);
  EXPECT_EQ(evaluations_at(tiny, "3"), 1);
  EXPECT_EQ(evaluations_at(tiny, "0"), 1);

  TinyRun killed;
  EXPECT_FALSE(killed.run_and_stop(1).empty());  // nothing is trained
  ASSERT_TRUE(fs::exists(killed.in_run("evaluation_before.json")));
  fs::remove(killed.in_run("metrics.jsonl"));
  killed.run({"train.steps=12"});
  EXPECT_EQ(evaluations_at(killed, "0"), 1);
}

TEST(Run, ReadingAndHashingStopWhenAsked) {
  TinyRun tiny;
  int calls = 0;
  const auto recipe = tiny.recipe();
  const auto plan = recipe::plan_models(recipe);
  const auto stop_at = [&calls](int count) {
    calls = 0;
    return [&calls, count] {
      if (++calls == count) fail<Interrupted>("enough");
    };
  };
  EXPECT_THROW(recipe::load_data(recipe, plan, tiny.log, {.between_rows = stop_at(3)}),
               Interrupted);
  EXPECT_EQ(calls, 3);
  const auto data = recipe::load_data(recipe, plan, tiny.log);
  EXPECT_THROW(make_manifest(recipe, plan, data, 12, stop_at(2)), Interrupted);
  EXPECT_EQ(calls, 2);
}

// As an older version wrote it, before some of the keys existed.
TEST(Run, ARunGoesOnAfterANewKeyCameIn) {
  TinyRun tiny;
  tiny.run_and_stop(9);
  std::string text = read(tiny.in_run("recipe.yaml"));
  for (const std::string key : {"seed: 17\n", "  gradient_clip: 1.0\n"}) {
    const auto place = text.find(key);
    ASSERT_NE(place, std::string::npos) << text;
    text.erase(place, key.size());
  }
  std::ofstream(tiny.in_run("recipe.yaml"), std::ios::trunc) << text;
  EXPECT_NE(message_of<ConfigError>([&] { tiny.run({"seed=18"}); }).find("seed: 17 -> 18"),
            std::string::npos);
  EXPECT_EQ(tiny.run().report.steps, 12);
}

TEST(Run, TheEvaluationBeforeIsKept) {
  TinyRun tiny;
  tiny.run_and_stop(9);
  eval::Evaluation kept = read_evaluation(tiny.in_run("evaluation_before.json"));
  kept.perplexity = 12345.5;
  write_evaluation(tiny.in_run("evaluation_before.json"), kept);
  EXPECT_EQ(tiny.run().report.before->perplexity, 12345.5);
}

TEST(Run, StoppedBeforeTraining) {
  TinyRun tiny;
  tiny.stop.request(2);
  const std::string message = message_of<Interrupted>([&] { tiny.run(); });
  EXPECT_NE(message.find("stopped by signal 2 before training"), std::string::npos) << message;
  tiny.stop.request(0);
  EXPECT_EQ(tiny.run({"train.steps=12"}).report.steps, 12);
}

TEST(Run, RestartMovesTheOldRunAside) {
  TinyRun tiny;
  tiny.run({"train.steps=3"});
  const std::string old_report = read(tiny.in_run("report.json"));
  EXPECT_FALSE(tiny.run({"train.steps=4"}, StartPolicy::kRestart).was_finished);
  EXPECT_EQ(read(tiny.folder / "run.old-1" / "report.json"), old_report);
  tiny.run({"train.steps=4"}, StartPolicy::kRestart);
  EXPECT_TRUE(fs::exists(tiny.folder / "run.old-2" / "report.json"));
  EXPECT_EQ(read_report(tiny.in_run("report.json")).steps, 4);
}

TEST(Run, AHalfFinishedEndIsDoneAgain) {
  TinyRun tiny;
  tiny.run({"train.steps=3"});
  const std::string weights = core::hash_file(tiny.in_run("final/model.safetensors"));
  fs::remove(tiny.in_run("report.json"));
  EXPECT_FALSE(tiny.run({"train.steps=3"}).was_finished);
  EXPECT_EQ(core::hash_file(tiny.in_run("final/model.safetensors")), weights);
}

TEST(Run, WorksWithoutEvaluationAndTeacher) {
  TinyRun tiny;
  const RunResult result = tiny.run(
      {"teacher={kind: none}", "loss=[{kind: cross_entropy}]", "data.eval=[]", "evaluate.every=0",
       "train.epochs=1", "train.steps=null", "student={model: " + kModel.string() + "}"});
  EXPECT_FALSE(result.report.before || result.report.after || result.report.teacher);
  EXPECT_GT(result.report.steps, 0);
}

TEST(Run, TextNeedsNoChatTemplate) {
  TinyRun tiny;
  const fs::path model = tiny.folder / "model";
  fs::copy(kModel, model);
  std::ofstream(model / "chat_template.jinja") << "{{ something(of, its, own) }}";
  tiny.train_file = tiny.folder / "text.jsonl";
  std::ofstream(tiny.train_file) << "{\"text\": \"The river runs past the mill.\"}\n";
  const std::vector<std::string> own = {"teacher.model=" + model.string(), "train.steps=3",
                                        "data.eval=[]", "evaluate.every=0"};
  EXPECT_EQ(tiny.run(own).report.steps, 3);
  std::ofstream(tiny.train_file)
      << "{\"messages\": [{\"role\": \"assistant\", \"content\": \"Yes\"}]}\n";
  const std::string message = message_of<InputError>([&] { tiny.run(own, StartPolicy::kRestart); });
  EXPECT_NE(message.find("text.jsonl:1: "), std::string::npos) << message;
  EXPECT_NE(message.find("chat_template.jinja: this chat template is not known"), std::string::npos)
      << message;
}

TEST(Run, BadRowsThatAreSkippedAreInTheReport) {
  TinyRun tiny;
  const fs::path data = tiny.folder / "mixed.jsonl";
  std::ofstream(data) << read(tiny.train_file) << "broken\n{\"text\": 1}\n";
  const std::string path = "data.train=[{path: " + data.string() + "}]";
  EXPECT_THROW(tiny.run({path}, StartPolicy::kRestart), InputError);
  const std::vector<std::string> skip = {path, "data.on_bad_sample=skip", "train.steps=3"};
  const Report report = tiny.run(skip, StartPolicy::kRestart).report;
  ASSERT_TRUE(report.train_data);
  EXPECT_EQ(report.train_data->skipped, 2);
  const Report stored = read_report(tiny.in_run("report.json"));
  ASSERT_EQ(stored.train_data->first_skipped.size(), 2u);
  EXPECT_TRUE(stored.train_data->first_skipped[0].starts_with(data.string() + ":"));
  EXPECT_NE(report_table(stored).find("2 rows of the training data were skipped"),
            std::string::npos);
  const std::string plan = plan_text(tiny.recipe(skip), make_plan(tiny.recipe(skip), tiny.log));
  EXPECT_NE(plan.find("2 rows are skipped:\n  " + data.string()), std::string::npos) << plan;
}

TEST(Run, EveryStepSaysWhatItWaitedForData) {
  TinyRun tiny;
  tiny.run();
  EXPECT_EQ(count_lines(tiny.in_run("metrics.jsonl"), "\"data_seconds\":"), 12);
}

}  // namespace
}  // namespace distill::pipeline::testing
