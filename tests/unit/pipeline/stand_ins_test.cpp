#include "pipeline/stand_ins.h"

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>
#include <distill/io/jsonl.h>

#include "unit/pipeline/tiny_chain.h"

namespace distill::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::kModel;
using testing::message_of;
using testing::TinyChain;

class StandInRows : public ::testing::Test {
 protected:
  std::string rows(std::int64_t prompts, std::int64_t samples, std::int64_t new_tokens) const {
    const fs::path file = chain_.folder / "prompts.jsonl";
    std::ofstream out(file);
    for (std::int64_t i = 0; i < prompts; ++i) out << "{\"prompt\": \"Number " << i << "\"}\n";
    return core::concat(
        "  - name: rows\n    kind: generate\n    generate: {prompts: ", file.string(),
        ", chat_template: none, samples: ", samples, ", max_new_tokens: ", new_tokens, "}\n");
  }
  static std::string learner() {
    return "  - name: learner\n"
           "    student: {init: {from: model, keep_layers: 2}, model: " +
           kModel.string() +
           "}\n"
           "    teacher: {kind: none}\n"
           "    loss: [{kind: cross_entropy}]\n"
           "    data: {train: [{path: \"${stages.rows.output}\"}]}\n";
  }
  /// The largest file that was in the folder.
  std::uintmax_t bytes_of_rows(const std::string& stages, std::int64_t prompts) {
    const auto recipe = chain_.recipe(stages + learner());
    StandIns stand_ins(chain_.folder / "scratch", chain_.output());
    stand_ins.add_rows(recipe.stages[0], prompts, nullptr, chain_.log);
    std::uintmax_t most = 0;
    for (const auto& entry : fs::recursive_directory_iterator(chain_.folder / "scratch")) {
      if (!entry.is_regular_file()) continue;
      most = std::max(most, entry.file_size());
      factor_ = stand_ins.rows_for_each(entry.path().string());
    }
    return most;
  }

  mutable TinyChain chain_;
  double factor_ = 0;
};

TEST_F(StandInRows, AreAFewMegabytesWhateverIsAskedFor) {
  EXPECT_LT(bytes_of_rows(rows(3000, 100, 8192), 3000), 32u << 20);  // of 8 GB
  EXPECT_GT(factor_, 500);
  EXPECT_LT(bytes_of_rows(rows(2, 3, 1 << 24), 2), 32u << 20);
}

TEST_F(StandInRows, AreAllOfAFew) {
  bytes_of_rows(rows(5, 3, 100), 5);
  EXPECT_EQ(factor_, 1);
}

TEST_F(StandInRows, WhatIsPlannedWithTheFirstIsThatOfAll) {
  // As many rows as are written in full, and ten times as many.
  const PipelinePlan some = chain_.plan(rows(40, 2, 2000) + learner(), {"train={epochs: 2}"});
  const PipelinePlan many = chain_.plan(rows(8000, 2, 2000) + learner(), {"train={epochs: 2}"});
  const Plan& few_rows = *some.stages[1].plan;
  const Plan& all_rows = *many.stages[1].plan;
  EXPECT_EQ(few_rows.train_data.documents, 80);
  EXPECT_NEAR(static_cast<double>(all_rows.train_data.documents), 16000, 1);
  const auto expect_200 = [](auto more, auto less, const char* what) {
    EXPECT_NEAR(static_cast<double>(more) / static_cast<double>(less), 200, 4) << what;
  };
  expect_200(all_rows.train_tokens, few_rows.train_tokens, "tokens");
  expect_200(all_rows.run_tokens, few_rows.run_tokens, "tokens of the run");
  expect_200(all_rows.steps, few_rows.steps, "steps");
  expect_200(many.stages[0].disk.rows, some.stages[0].disk.rows, "disk");
}

TEST_F(StandInRows, LeaveNothingInTheTokenCache) {
  RunOptions options = chain_.options();
  const fs::path cache = chain_.folder / "tokens";
  fs::create_directories(cache);
  options.cache_folder = cache.string();
  const PipelinePlan plan = plan_pipeline(
      chain_.recipe(rows(4, 1, 100) + learner(), {"data.eval=[]"}), {}, options, chain_.log);
  EXPECT_TRUE(fs::is_empty(cache));
  EXPECT_TRUE(fs::is_empty(chain_.folder / "scratch"));
  // As the run will do, it is planned to map them.
  options.cache_folder.clear();
  const PipelinePlan held = plan_pipeline(
      chain_.recipe(rows(4, 1, 100) + learner(), {"data.eval=[]"}), {}, options, chain_.log);
  EXPECT_LT(plan.stages[1].memory.library, held.stages[1].memory.library);
}

TEST_F(StandInRows, AStopIsHeardWhileTheyAreWritten) {
  const auto recipe = chain_.recipe(rows(4, 1, 100) + learner());
  StandIns stand_ins(chain_.folder / "scratch", chain_.output());
  core::StopFlag stop;
  stop.request(15);
  EXPECT_THROW(stand_ins.add_rows(recipe.stages[0], 4, &stop, chain_.log), Interrupted);
}

TEST_F(StandInRows, AllThatIsWrongWithAnAskedServerIsFoundTogether) {
  std::ofstream(chain_.folder / "bad.jsonl")
      << "{\"prompt\": \"x\"}\n{\"text\": \"no question\"}\n";
  const std::string what = message_of<ConfigError>([&] {
    chain_.plan(core::concat(
        "  - name: rows\n"
        "    kind: generate\n"
        "    teacher: {kind: server, url: 'http://localhost:1/v1', model: m, api_key_env: A_KEY}\n"
        "    generate: {prompts: ",
        (chain_.folder / "bad.jsonl").string(), "}\n", learner()));
  });
  EXPECT_NE(what.find("chain.yaml:15: stages.0.teacher.api_key_env: the environment variable"),
            std::string::npos)
      << what;
  EXPECT_NE(what.find("bad.jsonl:2"), std::string::npos) << what;
}

TEST_F(StandInRows, ATemplateThatIsNotKnownIsFoundWithItsLine) {
  std::string stages = rows(2, 1, 10);
  stages.replace(stages.find("none"), 4, "lama3");
  const std::string what = message_of<ConfigError>([&] { chain_.plan(stages + learner()); });
  EXPECT_NE(what.find("chain.yaml:15: stages.0.generate.chat_template: "), std::string::npos)
      << what;
}

}  // namespace
}  // namespace distill::pipeline
