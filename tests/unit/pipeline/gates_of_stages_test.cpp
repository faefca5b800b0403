#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/io/json_value.h>
#include <distill/pipeline/report_html.h>

#include "unit/pipeline/tiny_chain.h"

/// Gates that come or change when their stage is done, and further tries.
namespace distill::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::StoppingLogger;
using testing::TinyChain;

#define EXPECT_SAYS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "not in: " << (text)

std::vector<std::string> gate_of_three(const std::string& gate) {
  return {"stages.three.gates=[" + gate + "]"};
}

TEST(GatesOfStages, AGateThatCameLaterStopsThePipelineWithoutTraining) {
  TinyChain chain;
  chain.run();
  const std::string three = chain.weights("three");
  const auto time = fs::last_write_time(chain.in_chain("stages/three/final/model.safetensors"));
  const auto strict = gate_of_three("{require: kl_to_teacher < 0}");
  EXPECT_EQ(chain.plan(TinyChain::two_stages(), strict).stages[0].state.find("done, but gate"), 0u);
  const std::string what = message_of<Error>([&] { chain.run(TinyChain::two_stages(), strict); });
  EXPECT_SAYS(what, "stages/three: gate `kl_to_teacher < 0`: does not hold, it is ");
  EXPECT_EQ(fs::last_write_time(chain.in_chain("stages/three/final/model.safetensors")), time);
  EXPECT_SAYS(testing::read(chain.in_chain("report.html")),
              "three: <code>kl_to_teacher &lt; 0</code>");
  // Looser, it goes on, and all is still done.
  const auto loose = gate_of_three("{require: kl_to_teacher < 100}");
  const PipelineResult result = chain.run(TinyChain::two_stages(), loose);
  EXPECT_TRUE(result.stages[0].was_done && result.stages[1].was_done);
  EXPECT_TRUE(result.stages[0].report->gates.at(0).holds);
}

TEST(GatesOfStages, APipelineThatIsStoppedLeavesAPageOfWhatWasDone) {
  TinyChain chain;
  const auto gates = [](const std::string& second) {
    return std::vector<std::string>{"stages.two.gates=[{require: " + second + "}]"};
  };
  const std::string what =
      message_of<Error>([&] { chain.run(TinyChain::two_stages(), gates("kl_to_teacher < 0")); });
  const auto stored = io::read_json_file(chain.in_chain("stopped.json"));
  const io::JsonCursor report(stored, "");
  EXPECT_EQ(report.at("stopped").as_string(), what);
  EXPECT_TRUE(report.at("stages").at(0).has("report"));
  EXPECT_SAYS(what, "; change the recipe, or loosen the gate, and run the same command again");
  // The stage that did not end has been trained and measured too.
  const io::JsonCursor last = report.at("stages").at(1).at("report");
  EXPECT_SAYS(last.at("stopped").as_string(), "kl_to_teacher < 0");
  EXPECT_EQ(
      report.at("tokens").as_int(),
      report.at("stages").at(0).at("report").at("tokens").as_int() + last.at("tokens").as_int());
  EXPECT_EQ(report.at("measured_stage").as_string(), "two");
  EXPECT_EQ(report.at("after").at("kl_to_teacher").as_double(),
            last.at("after").at("kl_to_teacher").as_double());
  const std::string page = testing::read(chain.in_chain("report.html"));
  EXPECT_SAYS(page, "Stopped run");
  EXPECT_SAYS(page, "<p class=\"no\">Stopped: ");
  EXPECT_SAYS(page, "stages/three/report.html");
  EXPECT_SAYS(page, "stages/two/report.html");
  EXPECT_SAYS(page, "KL to the teacher of two");
  EXPECT_FALSE(fs::exists(chain.in_chain("report.json")));
  // Made again by `distill report` it says the same.
  write_report_html({.run = chain.output()});
  EXPECT_SAYS(testing::read(chain.in_chain("report.html")), "<p class=\"no\">Stopped: ");
  chain.run(TinyChain::two_stages(), gates("kl_to_teacher < 100"));
  EXPECT_FALSE(fs::exists(chain.in_chain("stopped.json")));
  EXPECT_EQ(testing::read(chain.in_chain("report.html")).find("Stopped"), std::string::npos);
}

TEST(GatesOfStages, AnEvaluationThatStopsThePipelineIsInItsReport) {
  TinyChain chain;
  const std::string stages = TinyChain::two_stages() +
                             "  - name: scores\n"
                             "    kind: evaluate\n"
                             "    student: {model: \"${stages.two.output}\"}\n"
                             "    gates: [{require: perplexity < 0}]\n";
  for (int time = 0; time < 2; ++time) {  // and again, when all before it is done
    message_of<RunStopped>([&] { chain.run(stages); });
    const auto stored = io::read_json_file(chain.in_chain("stopped.json"));
    const io::JsonCursor stage = io::JsonCursor(stored, "").at("stages").at(2);
    EXPECT_GT(stage.at("seconds").as_double(), 0) << "it took some";
    const io::JsonCursor last = stage.at("report");
    EXPECT_GT(last.at("after").at("perplexity").as_double(), 1);
    EXPECT_FALSE(last.at("gates").at(0).at("holds").as_bool());
    EXPECT_SAYS(last.at("stopped").as_string(), "gate `perplexity < 0`: does not hold");
    EXPECT_EQ(io::JsonCursor(stored, "").at("measured_stage").as_string(), "two");
  }
}

TEST(GatesOfStages, AWarningOfADoneStageIsGiven) {
  TinyChain chain;
  chain.run();
  const PipelineResult result = chain.run(
      TinyChain::two_stages(), gate_of_three("{require: kl_to_teacher < 0, on_failure: warn}"));
  EXPECT_TRUE(result.stages[1].was_done);
  EXPECT_TRUE(chain.log.has("stage 1/2 three: gate `kl_to_teacher < 0`: does not hold"));
  EXPECT_SAYS(testing::read(chain.in_chain("report.html")),
              "three: <code>kl_to_teacher &lt; 0</code>");
}

TEST(GatesOfStages, AMeasureThatADoneStageHasNotIsFoundBeforeTheFirstStep) {
  TinyChain chain;
  chain.run();
  EXPECT_SAYS(message_of<ConfigError>([&] {
                chain.run(TinyChain::two_stages(), gate_of_three("{require: accuracy > 0}"));
              }),
              "stages.0.gates.0.require: `accuracy` is not measured");
}

/// A gate that the first try of `three` does not pass, and a second with other rows and steps does.
class RetriedChain : public TinyChain {
 public:
  RetriedChain() {
    fs::copy_file(train_file(), other_rows);
    TinyChain longer;
    const auto reached = longer.run(TinyChain::two_stages(), {"stages.three.train.steps=20"});
    const double kl = *reached.stages[0].report->after->kl_to_teacher;
    gate = gate_of_three(core::concat(
        "{require: kl_to_teacher <= ", core::JsonWriter().value(kl).text(),
        ", on_failure: retry, with: {train.steps: 20, data.train: [{path: ", other_rows.string(),
        "}]}}"));
    expected = longer.weights("three");
  }

  fs::path other_rows = folder / "other.jsonl";
  std::vector<std::string> gate;
  std::string expected;  ///< weights of `three`
};

TEST(GatesOfStages, AGateThatCameLaterHasItsStageDoneAgainWithWhatFollows) {
  RetriedChain chain;
  chain.run();
  const std::string two = chain.weights("two");
  EXPECT_EQ(chain.plan(TinyChain::two_stages(), chain.gate).stages[0].state.find("again: gate"),
            0u);
  const PipelineResult result = chain.run(TinyChain::two_stages(), chain.gate);
  EXPECT_FALSE(result.stages[0].was_done || result.stages[1].was_done);
  EXPECT_EQ(result.stages[0].report->attempt, 2);
  EXPECT_EQ(chain.weights("three"), chain.expected);
  EXPECT_NE(chain.weights("two"), two);
  EXPECT_TRUE(fs::exists(chain.in_chain("stages/three/attempts/1/final")));
  const PipelineResult again = chain.run(TinyChain::two_stages(), chain.gate);
  EXPECT_TRUE(again.stages[0].was_done && again.stages[1].was_done);
}

TEST(GatesOfStages, SuchATryThatIsStoppedGoesOn) {
  for (const char* at : {"; another try: ", "beginning again, attempt 2"}) {
    RetriedChain chain;
    chain.run();
    StoppingLogger log(chain.stop, at);
    EXPECT_THROW(
        run_pipeline(chain.recipe(TinyChain::two_stages(), chain.gate), {}, chain.options(), log),
        Interrupted)
        << at;
    chain.stop.request(0);
    const PipelineResult result = chain.run(TinyChain::two_stages(), chain.gate);
    EXPECT_FALSE(result.stages[0].was_done || result.stages[1].was_done) << at;
    EXPECT_EQ(result.stages[0].report->attempt, 2);
    EXPECT_EQ(chain.weights("three"), chain.expected) << at;
  }
}

TEST(GatesOfStages, TheLineageTellsOfTheAttemptThatCounts) {
  RetriedChain chain;
  chain.run(TinyChain::two_stages(), chain.gate);
  const auto value = io::read_json_file(chain.in_chain("stages/three/lineage.json"));
  const io::JsonCursor step = io::JsonCursor(value, "").at("lineage").at(0);
  EXPECT_EQ(step.at("attempt").as_int(), 2);
  EXPECT_EQ(step.at("set").at(0).as_string(), "train.steps=20");
  EXPECT_TRUE(step.at("inputs").has(chain.other_rows.string()));
  EXPECT_FALSE(step.at("inputs").has(chain.train_file().string()));
  const auto stored = io::read_json_file(chain.in_chain("manifest.json"));
  const io::JsonCursor record = io::JsonCursor(stored, "").at("stages").at(0);
  EXPECT_NE(step.at("recipe").as_string(), record.at("settings").as_string());
  // The attempt's own input is what must stay; that of the first no longer counts for `three`.
  std::ofstream(chain.other_rows, std::ios::app) << "{\"text\": \"one row more\"}\n";
  EXPECT_SAYS(message_of<ConfigError>([&] { chain.run(TinyChain::two_stages(), chain.gate); }),
              "other.jsonl has changed since the stage `three` was begun");
}

TEST(GatesOfStages, FurtherTriesArePlannedWithWhatWillBeThere) {
  TinyChain chain;
  const auto two = [](const std::string& with) {
    return std::vector<std::string>{
        "stages.two.gates=[{require: perplexity < 0, on_failure: retry, with: [" + with + "]}]"};
  };
  const PipelinePlan plan = chain.plan(
      TinyChain::two_stages(),
      two("{train.micro_batch_size: 2}, {teacher.model: '${stages.three.output}', seed: 3}"));
  ASSERT_EQ(plan.stages[1].tries.size(), 2u);
  EXPECT_GT(plan.stages[1].tries[0].memory.activations, plan.stages[1].memory.activations);
  EXPECT_EQ(plan.stages[1].tries[1].memory.total(), plan.stages[1].memory.total());
  const std::string what = message_of<ConfigError>([&] {
    chain.plan(TinyChain::two_stages(),
               two("{student.init.keep_layers: 4}, {teacher.model: /nowhere/model}"));
  });
  EXPECT_SAYS(what, "stages.1.gates.0.with.0: ");
  EXPECT_SAYS(what, chain.in_chain("stages/three/final").string() + " has 3 layers");
  EXPECT_SAYS(what, "stages.1.gates.0.with.1: teacher.model: /nowhere/model");
}

TEST(GatesOfStages, ATryThatDoesNotFitIntoMemoryIsFoundBeforeTheFirstStep) {
  TinyChain chain;
  const std::vector<std::string> retry = {
      "stages.two.gates=[{require: perplexity < 0, on_failure: retry, with: [{student.model: " +
      testing::kModel.string() + ", student.init: null}]}]"};
  const PipelinePlan plan = chain.plan(TinyChain::two_stages(), retry);
  const std::uint64_t needed = plan.stages[1].tries.at(0).memory.certain();
  ASSERT_GT(needed, plan.stages[0].memory.certain());
  ASSERT_GT(needed, plan.stages[1].memory.certain());
  RunOptions options = chain.options();
  options.available_memory = needed - 1;
  EXPECT_SAYS(message_of<InputError>([&] {
                run_pipeline(chain.recipe(TinyChain::two_stages(), retry), {}, options, chain.log);
              }),
              "stage `two`, gates.0.with.0: training needs at least");
}

}  // namespace
}  // namespace distill::pipeline
