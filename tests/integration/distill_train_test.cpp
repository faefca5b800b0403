#include <csignal>
#include <string>
#include <vector>

#include <stdlib.h>

#include <distill/core/strict_sums.h>
#include <distill/ops/device.h>

#include "integration/tiny_run.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

double number(const io::JsonValue& report, const char* when, const char* what) {
  return io::JsonCursor(report, "report.json").at(when).at(what).as_double();
}

TEST(DistillTrain, TinyStudentComesNearerToItsTeacher) {
  const TinyRun run;
  const auto result = run.train({"train.steps=40"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto report = io::read_json_file(run.output() / "report.json");
  EXPECT_LT(number(report, "after", "kl_to_teacher"),
            0.7 * number(report, "before", "kl_to_teacher"));
  EXPECT_LT(number(report, "after", "perplexity"), number(report, "before", "perplexity"));
  EXPECT_GT(number(report, "after", "top1_agreement"), number(report, "before", "top1_agreement"));
  const io::JsonCursor cursor(report, "report.json");
  for (const auto* name : {"tokens", "seconds", "tokens_per_second", "peak_memory_bytes"}) {
    EXPECT_GT(cursor.at(name).as_double(), 0) << name;
  }
  for (const auto* name : {"recipe.yaml", "manifest.json", "metrics.jsonl", "final/config.json",
                           "final/model.safetensors", "final/tokenizer.json"}) {
    EXPECT_TRUE(fs::exists(run.output() / name)) << name;
  }
  EXPECT_NE(result.out.find("perplexity"), std::string::npos) << result.out;
  // As distill_train was called: the program beside it.
  const std::string beside = (fs::path(DISTILL_TRAIN_BINARY).parent_path() / "distill").string();
  EXPECT_NE(result.out.find("talk to it: " + beside + " generate --model "), std::string::npos)
      << result.out;
}

TEST(DistillTrain, Bf16RunsWithFp32Masters) {
  const TinyRun run;
  const auto result = run.train({"precision=bf16", "train.steps=40"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto report = io::read_json_file(run.output() / "report.json");
  EXPECT_LT(number(report, "after", "kl_to_teacher"),
            0.7 * number(report, "before", "kl_to_teacher"));
}

TEST(DistillTrain, MetricsHoldOneObjectAStep) {
  const TinyRun run;
  ASSERT_EQ(run.train().exit_code, 0);
  std::ifstream in(run.output() / "metrics.jsonl");
  std::int64_t steps = 0;
  for (std::string line; std::getline(in, line);) {
    const auto value = io::parse_json(line, "metrics.jsonl");
    const io::JsonCursor row(value, "metrics.jsonl");
    if (row.has("event")) continue;
    EXPECT_EQ(row.at("step").as_int(), ++steps);
    for (const auto* name : {"tokens", "loss", "forward_kl", "cross_entropy", "lr", "grad_norm",
                             "tokens_per_second", "seconds", "data_seconds"}) {
      EXPECT_TRUE(row.has(name)) << name << ": " << line;
    }
  }
  EXPECT_EQ(steps, 10);
}

TEST(DistillTrain, DryRunTrainsAndWritesNothing) {
  const TinyRun run;
  const auto result = run.train({"--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("forward_kl"), std::string::npos) << result.out;
  for (const char* part : {"ok       tokenizers: the same", "tokens of a document   min",
                           "packing uses ", "ok       vocabulary: the teacher has"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " is not in\n" << result.out;
  }
  EXPECT_FALSE(fs::exists(run.output()));
}

TEST(DistillTrain, TokensAreCachedForTheNextCall) {
  const TinyRun run;
  EXPECT_EQ(run.train({"--dry-run"}).err.find("(cached)"), std::string::npos);
  EXPECT_NE(run.train({"--dry-run"}).err.find("(cached)"), std::string::npos);
  EXPECT_TRUE(fs::exists(run.folder() / "cache/distill/tokens"));
  EXPECT_EQ(run.train({"--dry-run", "data.cache=off"}).err.find("(cached)"), std::string::npos);
}

TEST(DistillTrain, StoppedBySignalGoesOnBitForBit) {
  const std::string steps = "train.steps=40";  // long enough for the signal to come in time
  const TinyRun straight;
  ASSERT_EQ(straight.train({steps}).exit_code, 0);
  int stops = 0;
  for (const int number : {SIGTERM, SIGINT, SIGTERM, SIGINT}) {
    const TinyRun run;
    // Sent once, when some steps are done.
    bool sent = false;
    const auto stopped =
        run.train({steps}, {.signal = [&](std::chrono::milliseconds) {
                    if (sent || !fs::exists(run.output() / "checkpoints/step_00000003")) return 0;
                    sent = true;
                    return number;
                  }});
    if (stopped.exit_code == 0) continue;  // it was faster than the signal
    ++stops;
    EXPECT_EQ(stopped.exit_code, 1) << stopped.err;
    EXPECT_NE(stopped.err.find("same command"), std::string::npos) << stopped.err;
    ASSERT_EQ(run.train({steps}).exit_code, 0);
    EXPECT_EQ(run.final_weights_hash(), straight.final_weights_hash());
  }
  EXPECT_GT(stops, 0) << "no signal stopped a run: nothing was tested";
}

TEST(DistillTrain, WeightsDoNotDependOnTheNumberOfThreads) {
  if (!core::request_strict_sums()) GTEST_SKIP() << "MKL has no strict sums on this CPU";
  // Enough rows that MKL would share the sums of a weight's gradient among threads.
  const std::vector<std::string> settings = {"train.steps=3", "train.batch_size=16",
                                             "train.micro_batch_size=16",
                                             "data.sequence_length=64"};
  // As a shell has it, whatever the line above has set in this process.
  ASSERT_EQ(::unsetenv("MKL_CBWR"), 0);
  const TinyRun one, two;
  ASSERT_EQ(one.train(settings, {.environment = {{"OMP_NUM_THREADS", "1"}}}).exit_code, 0);
  ASSERT_EQ(two.train(settings, {.environment = {{"OMP_NUM_THREADS", "2"}}}).exit_code, 0);
  EXPECT_EQ(one.final_weights_hash(), two.final_weights_hash());
}

TEST(DistillTrain, ChangedRecipeIsRefusedAndRestartKeepsTheOldRun) {
  const TinyRun run;
  ASSERT_EQ(run.train({"train.steps=3"}).exit_code, 0);
  fs::remove(run.output() / "report.json");  // as if it had not ended
  const auto refused = run.train({"train.steps=3", "train.optimizer.lr=0.5"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("train.optimizer.lr"), std::string::npos) << refused.err;
  const auto restarted = run.train({"train.steps=3", "train.optimizer.lr=0.5", "--restart"});
  EXPECT_EQ(restarted.exit_code, 0) << restarted.err;
  std::size_t runs = 0;
  for (const auto& entry : fs::directory_iterator(run.folder())) {
    runs += entry.path().filename().string().starts_with("run");
  }
  EXPECT_EQ(runs, 2u);
}

TEST(DistillTrain, FinishedRunIsNotRepeated) {
  const TinyRun run;
  ASSERT_EQ(run.train({"train.steps=3"}).exit_code, 0);
  const auto before = fs::last_write_time(run.output() / "final/model.safetensors");
  const auto again = run.train({"train.steps=3"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.out.find("perplexity"), std::string::npos) << again.out;
  EXPECT_EQ(fs::last_write_time(run.output() / "final/model.safetensors"), before);
}

struct BadRun {
  std::string argument;
  std::string expected;  // part of an error line
};

TEST(DistillTrain, BadInputIsOneLineEachAndExitCode2) {
  const TinyRun run;
  const fs::path empty_line = run.folder() / "empty.jsonl";
  std::ofstream(empty_line) << "{\"text\": \"a\"}\n\n";
  const fs::path broken = run.folder() / "broken.jsonl";
  std::ofstream(broken) << "{\"text\": \"a\"}\n{\"text\": \n";
  std::vector<BadRun> cases = {
      {"trian.steps=3", "train"},
      {"train.steps=-1", "train.steps"},
      {"train.steps=many", "train.steps"},
      {"loss.0.temperature=0", "temperature"},
      {"loss.0.kind=forward_lk", "forward_kl"},
      {"teacher.model=nowhere", "nowhere"},
      {"student.init.keep_layers=99", "keep_layers"},
      {"data.train.0.path=" + empty_line.string(), "empty.jsonl:2"},
      {"data.train.0.path=" + broken.string(), "broken.jsonl:2"},
      {"data.train.0.path=missing.jsonl", "missing.jsonl"},
  };
  if (ops::why_no_cuda()) cases.push_back({"device=cuda", "cuda"});
  for (const auto& [argument, expected] : cases) {
    const auto result = run.train({argument});
    EXPECT_EQ(result.exit_code, 2) << argument << "\n" << result.err;
    const auto lines = error_lines(result);
    ASSERT_FALSE(lines.empty()) << argument << "\n" << result.err;
    EXPECT_NE(lines.front().find(expected), std::string::npos) << argument << "\n" << result.err;
    for (const auto& line : lines) EXPECT_LT(line.size(), 300u) << line;
    EXPECT_FALSE(fs::exists(run.output() / "final")) << argument;
  }
}

TEST(DistillTrain, AllProblemsOfARecipeAreReportedTogether) {
  const TinyRun run;
  const auto result = run.train({"nmae=x", "train.batch_sise=3", "precision=fp99"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_GE(error_lines(result).size(), 3u) << result.err;
}

}  // namespace
}  // namespace distill::testing
