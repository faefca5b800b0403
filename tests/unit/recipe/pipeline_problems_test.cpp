#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/losses/cross_entropy.h>
#include <distill/losses/forward_kl.h>
#include <distill/recipe/pipeline_recipe.h>
#include <distill/recipe/read.h>
#include "support/temp_folder.h"

namespace distill::recipe {
namespace {

/// The stages begin in line 9.
const std::string kDefaults = R"(name: chain
output: out
student: {model: models/small}
teacher: {kind: local, model: models/big}
data: {train: [{path: a.jsonl}, {path: c.jsonl}], eval: [{path: b.jsonl}], sequence_length: 64}
loss: [{kind: forward_kl}, {kind: cross_entropy, weight: 0.5}]
train: {steps: 40}
stages:
)";

/// That what is wrong is told once, and nothing else is.
class PipelineProblemsTest : public ::testing::Test {
 protected:
  PipelineRecipe read(const std::string& stages, const std::vector<std::string>& overrides = {}) {
    return std::get<PipelineRecipe>(
        read_any_recipe(kDefaults + stages, "p.yaml", overrides, registries_));
  }
  /// The lines of the refusal.
  std::vector<std::string> problems(const std::string& stages,
                                    const std::vector<std::string>& overrides = {}) {
    std::string text = testing::message_of<ConfigError>([&] { read(stages, overrides); });
    std::vector<std::string> lines;
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      lines.push_back(text.substr(0, end));
      text.erase(0, end + 1);
    }
    lines.push_back(text);
    return lines;
  }
  static const losses::ForwardKlOptions& divergence(const Stage& stage) {
    return *stage.run().loss.items().at(0).options<losses::ForwardKlOptions>();
  }
  Registries registries_ = builtin_registries();
};

using Lines = std::vector<std::string>;

TEST_F(PipelineProblemsTest, ABadReferenceIsOneProblem) {
  EXPECT_EQ(problems("  - {name: one, teacher: {model: \"${stages.two.output}\"}}\n"
                     "  - {name: two, student: {model: \"${stages.two.output}\"}}\n"
                     "  - {name: three, teacher: {model: \"${stages.thre.output}\"}}\n"
                     "  - {name: four, kind: evaluate, data: {eval: \"${HOME}\"}}\n"),
            (Lines{"p.yaml:9: stages.0.teacher.model: `${stages.two.output}` comes later in the "
                   "file; a stage reads results of earlier ones: move `two` before it",
                   "p.yaml:10: stages.1.student.model: `${stages.two.output}` is the result of "
                   "this very stage",
                   "p.yaml:11: stages.2.teacher.model: `${stages.thre.output}` means no stage (did "
                   "you mean `three`?); there are one, two, three, four",
                   "p.yaml:12: stages.3.data.eval: `${HOME}` is not known, expected "
                   "`${stages.NAME.output}`"}));
}

TEST_F(PipelineProblemsTest, ABadReferenceIsOneProblemWhereNoPathIsWanted) {
  const std::string unknown = "` is not known, expected `${stages.NAME.output}`";
  EXPECT_EQ(problems("  - {name: one, teacher: {kind: server, url: \"${HOST}/v1\", model: m}}\n"
                     "  - {name: two, train: {steps: \"${STEPS}\"}}\n"
                     "  - {name: three, gates: [{require: perplexity < 9, on_failure: retry,\n"
                     "     with: [{train.steps: \"${STEPS}\"}]}]}\n"
                     "  - {name: four, teacher: {kind: \"${KIND}\"}}\n"),
            (Lines{"p.yaml:9: stages.0.teacher.url: `${HOST}" + unknown,
                   "p.yaml:10: stages.1.train.steps: `${STEPS}" + unknown,
                   "p.yaml:12: stages.2.gates.0.with.0: train.steps: `${STEPS}" + unknown,
                   "p.yaml:13: stages.3.teacher.kind: `${KIND}" + unknown}));
}

TEST_F(PipelineProblemsTest, OtherValuesOfTheStageAreLookedAt) {
  const Lines found = problems(
      "  - {name: one, teacher: {model: \"${stages.gone.output}\"}, train: {batch_size: 0}}\n");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1], "p.yaml:9: stages.0.train.batch_size: must be at least 1, it is 0");
}

TEST_F(PipelineProblemsTest, ResultsOfAWrongKindAreToldBesideOtherProblems) {
  EXPECT_EQ(
      problems("  - {name: one, teacher: {model: 7}, seed: x}\n"
               "  - {name: rows, data: {train: [{path: \"${stages.one.output}\"}]}}\n"
               "  - {name: odd, kind: trian}\n"
               "  - seven\n"
               "  - {name: last, teacher: {model: \"${stages.rows.output}\"},\n"
               "     data: {train: [{path: \"${stages.odd.output}\"}]}}\n"),
      (Lines{"p.yaml:9: stages.0.seed: `x` given, expected an integer in plain decimal digits",
             "p.yaml:10: stages.1.data.train.0.path: the stage `one` leaves a model, expected rows "
             "of data",
             "p.yaml:11: stages.2.kind: `trian` given, expected one of train, cache, generate, "
             "merge, evaluate (did you mean `train`?)",
             "p.yaml:12: stages.3: `seven` given, expected a mapping"}));
}

TEST_F(PipelineProblemsTest, WhetherAStageLeavesAnAdapterMayNotBeCertain) {
  const Lines found = problems(
      "  - {name: one, student: {model: m, lora: \"${RANK}\"}}\n"
      "  - {name: two, kind: merge, adapter: \"${stages.one.output}\"}\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].starts_with("p.yaml:9: stages.0.student.lora: `${RANK}`")) << found[0];
}

TEST_F(PipelineProblemsTest, AnAdapterThatCannotBeMergedIsOneProblem) {
  EXPECT_EQ(problems("  - {name: rows, kind: generate, generate: {prompts: p.jsonl}}\n"
                     "  - {name: a, kind: merge, adapter: \"${stages.rows.output}\"}\n"
                     "  - {name: b, kind: merge}\n"
                     "  - {name: c, kind: merge, adapter: \"${stages.full.output}\"}\n"
                     "  - {name: d, kind: merge, adapter: elsewhere}\n"
                     "  - {name: full}\n"),
            (Lines{"p.yaml:13: stages.4.adapter: is of no stage before this one; say in `model` "
                   "what it was trained beside",
                   "p.yaml:10: stages.1.adapter: the stage `rows` leaves rows of data, expected an "
                   "adapter",
                   "p.yaml:11: stages.2.adapter: missing; it is the adapter folder",
                   "p.yaml:12: stages.3.adapter: `${stages.full.output}` comes later in the file; "
                   "a stage reads results of earlier ones: move `full` before it"}));
}

TEST_F(PipelineProblemsTest, TheModelBesideAnAdapterMayBeTheProblem) {
  const Lines found = problems(
      "  - {name: one, student: {model: \"${stages.gone.output}\", lora: {rank: 2}}}\n"
      "  - {name: two, kind: merge, adapter: \"${stages.one.output}\"}\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].starts_with("p.yaml:9: stages.0.student.model: ")) << found[0];
}

TEST_F(PipelineProblemsTest, AnOverrideChangesOneValueOfAListOfTheDefaults) {
  const PipelineRecipe chain = read("  - {name: two}\n  - {name: three}\n",
                                    {"stages.three.loss.0.temperature=2",
                                     "stages.three.data.train.1.weight=4", "loss.1.weight=0.25"});
  EXPECT_EQ(divergence(chain.stages[0]).temperature, 3.0);
  EXPECT_EQ(divergence(chain.stages[1]).temperature, 2.0);
  for (const Stage& stage : chain.stages) {
    const auto& items = stage.run().loss.items();
    ASSERT_EQ(items.size(), 2u) << stage.name;
    // Defaults are changed first, wherever they stand on the command line.
    EXPECT_EQ(items[1].options<losses::CrossEntropyOptions>()->weight, 0.25) << stage.name;
    EXPECT_EQ(stage.run().data.train.size(), 2u) << stage.name;
    EXPECT_EQ(stage.run().data.eval.size(), 1u) << stage.name;
    EXPECT_EQ(stage.run().data.sequence_length, 64) << stage.name;
  }
  EXPECT_EQ(chain.stages[0].run().data.train.at(1).weight, 1.0);
  EXPECT_EQ(chain.stages[1].run().data.train.at(1).weight, 4.0);
  EXPECT_EQ(chain.stages[1].run().data.train.at(1).path, "c.jsonl");
}

TEST_F(PipelineProblemsTest, WhoPlansIsGivenTheGoodStagesWithTheProblems) {
  const auto for_plan = [&](const std::string& stages) {
    return std::get<PipelineRecipe>(read_for_plan(kDefaults + stages, "p.yaml", {}, registries_));
  };
  const std::string bad =
      "  - {name: one}\n"
      "  - {name: two, teacher: {model: \"${stages.gone.output}\"}}\n"
      "  - {name: three, teacher: {model: \"${stages.two.output}\"}, trian: 1}\n"
      "  - {name: four, adapter: \"${stages.two.output}\", kind: merge}\n";
  const PipelineRecipe chain = for_plan(bad);
  ASSERT_EQ(chain.stages.size(), 4u);
  EXPECT_TRUE(chain.stages[0].is_good);
  EXPECT_FALSE(chain.stages[1].is_good);
  EXPECT_FALSE(chain.stages[2].is_good);  // another key was meant
  EXPECT_EQ(chain.stages[2].needs, std::vector<std::size_t>{1});
  EXPECT_FALSE(chain.stages[3].is_good);
  EXPECT_EQ(chain.problems, problems(bad));
  EXPECT_EQ(chain.problems.size(), 3u);
  EXPECT_TRUE(for_plan("  - {name: one}\n").problems.empty());
  // Stages that cannot be told apart, and a file that is not what it was meant to be.
  EXPECT_THROW(for_plan("  - {name: one}\n  - {name: one}\n"), ConfigError);
  EXPECT_THROW(for_plan("  - {name: one, name: two}\n"), ConfigError);
  EXPECT_THROW(for_plan("  - {name: one, kind: trian}\n"), ConfigError);
}

TEST_F(PipelineProblemsTest, AListOfTheStageItselfIsChangedAsItIs) {
  const PipelineRecipe chain = read("  - {name: two, loss: [{kind: forward_kl, weight: 3}]}\n",
                                    {"stages.two.loss.0.temperature=2"});
  ASSERT_EQ(chain.stages[0].run().loss.items().size(), 1u);
  EXPECT_EQ(divergence(chain.stages[0]).weight, 3.0);
  EXPECT_EQ(divergence(chain.stages[0]).temperature, 2.0);
}

TEST_F(PipelineProblemsTest, AnOverrideOfAListOfTheDefaultsIsToldOfWhereItIsWrong) {
  const std::string stages = "  - {name: two}\n  - {name: three}\n";
  EXPECT_EQ(problems(stages, {"stages.three.loss.0.temperature=-1"}),
            Lines{"override `stages.three.loss.0.temperature=-1`: stages.1.loss.0.temperature: "
                  "must be above 0, is -1"});
  EXPECT_EQ(problems(stages, {"stages.three.loss.2.weight=1"}),
            Lines{"override `stages.three.loss.2.weight=1`: stages.three.loss: `2` does not index "
                  "the list there, expected 0 to 2 exclusive"});
  // What is wrong with the rest of the list is told once, as of the defaults.
  EXPECT_EQ(problems(stages, {"stages.three.loss.0.temperature=2", "loss.1.weight=x"}),
            Lines{"override `loss.1.weight=x`: loss.1.weight: `x` given, expected a finite number "
                  "such as 0.5 or 2.0e-5"});
}

}  // namespace
}  // namespace distill::recipe
