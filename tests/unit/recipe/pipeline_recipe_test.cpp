#include <distill/recipe/pipeline_recipe.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/recipe/read.h>
#include <distill/recipe/write.h>
#include "unit/recipe/pipeline_recipe_fixture.h"

namespace distill::recipe {
namespace {

TEST_F(PipelineRecipeTest, StagesTakeDefaultsAndChangeThem) {
  const PipelineRecipe chain = read(kPipeline);
  EXPECT_EQ(chain.output, "out");
  ASSERT_EQ(chain.stages.size(), 3u);
  const Recipe& half = chain.stages[0].run();
  EXPECT_EQ(half.name, "half");
  EXPECT_EQ(half.output, "out/stages/half");
  EXPECT_EQ(half.seed, 5);
  EXPECT_EQ(half.train.steps, 20);
  EXPECT_EQ(half.train.batch_size, 4);
  const Recipe& quarter = chain.stages[1].run();
  EXPECT_EQ(quarter.train.steps, 40);
  EXPECT_EQ(local_model(quarter), "out/stages/half/final");
  EXPECT_TRUE(quarter.teacher.options<LocalTeacherOptions>()->quantize);  // merged, same kind
  EXPECT_EQ(quarter.loss.items().at(0).kind(), "cross_entropy");          // lists replace
  EXPECT_EQ(chain.stages[1].needs, std::vector<std::size_t>{0});
  EXPECT_EQ(chain.final_stage()->name, "quarter");
}

TEST_F(PipelineRecipeTest, AnEvaluationNeedsNoTraining) {
  const PipelineRecipe chain = read(kPipeline);
  const Recipe& scores = chain.stages[2].run();
  EXPECT_EQ(scores.student.model, "out/stages/quarter/final");
  EXPECT_FALSE(scores.student.init);
  EXPECT_EQ(scores.data.train.at(0).path, "b.jsonl");
  EXPECT_FALSE(scores.evaluate.at_start);
  EXPECT_EQ(chain.stages[2].result(), StageResult::kNothing);
}

TEST_F(PipelineRecipeTest, AnotherKindReplacesTheWholeMapping) {
  const PipelineRecipe chain =
      read(with_stages("  - {name: answers, kind: cache}\n"
                       "  - name: taught\n"
                       "    student: {model: models/small, init: null}\n"
                       "    teacher: {kind: cache, path: \"${stages.answers.output}\"}\n"));
  const auto* capture = chain.stages[0].run().teacher.options<CacheTeacherOptions>();
  ASSERT_NE(capture, nullptr);  // a local teacher becomes the one to capture
  EXPECT_EQ(capture->path, "out/stages/answers/cache");
  EXPECT_EQ(capture->model, "models/big");
  EXPECT_TRUE(capture->quantize);
  const auto* taught = chain.stages[1].run().teacher.options<CacheTeacherOptions>();
  EXPECT_EQ(taught->path, "out/stages/answers/cache");
  EXPECT_FALSE(taught->model);
}

TEST_F(PipelineRecipeTest, RowsAndMergedAdaptersGoOn) {
  const PipelineRecipe chain = read(with_stages(
      "  - {name: rows, kind: generate, teacher: {kind: local, model: big, quantize: null},\n"
      "     generate: {prompts: p.jsonl}}\n"
      "  - name: adapted\n"
      "    student: {model: models/small, init: null, lora: {rank: 2}}\n"
      "    teacher: {kind: none}\n"
      "    loss: [{kind: cross_entropy}]\n"
      "    data: {train: [{path: \"${stages.rows.output}\"}]}\n"
      "  - {name: merged, kind: merge, adapter: \"${stages.adapted.output}\"}\n"));
  EXPECT_EQ(chain.stages[1].run().data.train.at(0).path, "out/stages/rows/data.jsonl");
  const auto& merge = std::get<MergeRecipe>(chain.stages[2].recipe);
  EXPECT_EQ(merge.adapter, "out/stages/adapted/final");
  EXPECT_EQ(merge.model, "models/small");  // what the adapter was trained beside
  EXPECT_EQ(chain.final_stage()->name, "merged");
}

TEST_F(PipelineRecipeTest, OverridesReachStagesByNameAndPlace) {
  const PipelineRecipe chain =
      read(kPipeline, {"stages.half.train.steps=3", "stages.1.seed=9", "train.batch_size=2"});
  EXPECT_EQ(chain.stages[0].run().train.steps, 3);
  EXPECT_EQ(chain.stages[1].run().seed, 9);
  EXPECT_EQ(chain.stages[0].run().train.batch_size, 2);
  EXPECT_SAYS(refusal(kPipeline, {"stages.halve.train.steps=3"}), "or a name: half, quarter");
}

TEST_F(PipelineRecipeTest, WhatDecidesGeneratedRowsIsCheckedWhereItIsWritten) {
  const auto rows = [&](const std::string& more) {
    return refusal(
        with_stages("  - {name: one}\n"
                    "  - name: rows\n"
                    "    kind: generate\n"
                    "    teacher: {kind: server, url: 'http://h:1/v1', model: m}\n"
                    "    generate:\n"
                    "      prompts: p.jsonl\n" +
                    more));
  };
  const std::string what = rows(
      "      answer_regex: '(yes'\n"
      "      min_tokens: 9\n"
      "      max_tokens: 8\n"
      "      min_likelihood: 0.5\n");
  EXPECT_SAYS(what, "p.yaml:16: stages.1.generate.answer_regex: `(yes` is no regular expression");
  EXPECT_SAYS(what, "p.yaml:18: stages.1.generate.max_tokens: must be at least `min_tokens`, 9");
  EXPECT_SAYS(what, "p.yaml:19: stages.1.generate.min_likelihood: ");
  EXPECT_SAYS(rows("      chat_template: llama3\n"),
              "p.yaml:16: stages.1.generate.chat_template: is `llama3`");
}

TEST_F(PipelineRecipeTest, WhatIsSetOrUselessIsRefused) {
  const std::string what = refusal(with_stages(
      "  - {name: a, output: elsewhere}\n"
      "  - {name: b, kind: cache, teacher: {kind: cache, model: m, path: x}, train: {steps: 2}}\n"
      "  - {name: c, kind: evaluate, gates: [{require: a < 1, on_failure: retry, with: {seed: "
      "1}}]}\n"
      "  - {name: d, kind: trian}\n"));
  EXPECT_SAYS(what, "p.yaml:10: stages.0.output: is set by the pipeline");
  EXPECT_SAYS(what, "stages.1.teacher.path: is set by the pipeline");
  EXPECT_SAYS(what, "stages.1.train: has no effect in a stage of kind `cache`");
  EXPECT_SAYS(what, "stages.2.gates.0.on_failure: is `retry`");
  EXPECT_SAYS(what,
              "stages.3.kind: `trian` given, expected one of train, cache, generate, merge, "
              "evaluate (did you mean `train`?)");
}

TEST_F(PipelineRecipeTest, ADefaultThatIsWrongIsReportedOnce) {
  std::string text = kPipeline;
  text.replace(text.find("seed: 5"), 7, "seed: x\nlosss: 3");
  const std::string what = refusal(text);
  EXPECT_SAYS(what, "p.yaml:3: seed: `x` given, expected an integer");
  EXPECT_EQ(what.find("seed: `x`"), what.rfind("seed: `x`"));
  EXPECT_SAYS(what, "p.yaml:4: losss: unknown key (did you mean `loss`?)");
}

TEST_F(PipelineRecipeTest, TheResolvedRecipeReadsBackEqual) {
  const PipelineRecipe chain = read(with_stages(
      "  - {name: rows, kind: generate, teacher: {kind: server, url: 'http://h:1/v1', model: m},\n"
      "     generate: {prompts: p.jsonl}}\n"
      "  - {name: answers, kind: cache}\n"
      "  - name: taught\n"
      "    student: {model: small, init: null, lora: {rank: 2}}\n"
      "    teacher: {kind: cache, path: \"${stages.answers.output}\"}\n"
      "    data: {train: [{path: \"${stages.rows.output}\"}]}\n"
      "  - {name: merged, kind: merge, adapter: \"${stages.taught.output}\"}\n"
      "  - {name: scores, kind: evaluate, student: {model: \"${stages.merged.output}\", init: "
      "null}}\n"));
  const std::string text = write_recipe(chain);
  const PipelineRecipe again = read(text);
  EXPECT_EQ(write_recipe(again), text);
  for (std::size_t i = 0; i < chain.stages.size(); ++i) {
    EXPECT_EQ(again.stages[i].needs, chain.stages[i].needs) << i;
    EXPECT_EQ(stage_identity(again.stages[i]), stage_identity(chain.stages[i])) << i;
  }
}

TEST_F(PipelineRecipeTest, WhatMayChangeIsNoPartOfWhatAStageComesTo) {
  const auto with = [&](const std::string& more) {
    return stage_identity(
        read(kPipeline, {"stages.half.gates=[{require: perplexity < " + more + "}]"}).stages[0]);
  };
  EXPECT_EQ(with("9"), with("8"));
  EXPECT_NE(stage_identity(read(kPipeline, {"stages.half.seed=1"}).stages[0]),
            stage_identity(read(kPipeline).stages[0]));
}

TEST_F(PipelineRecipeTest, AServerThatMovedDoesNotMakeRowsOthers) {
  const auto rows = [&](const std::string& server) {
    return stage_identity(read(with_stages("  - {name: one}\n"
                                           "  - name: rows\n"
                                           "    kind: generate\n"
                                           "    teacher: {kind: server, " +
                                           server +
                                           "}\n"
                                           "    generate: {prompts: p.jsonl}\n"))
                              .stages[1]);
  };
  EXPECT_EQ(
      rows("url: 'http://here:1/v1', model: m"),
      rows("url: 'http://there:2/v1', model: m, parallel: 3, retries: 1, timeout_seconds: 9"));
  EXPECT_NE(rows("url: 'http://here:1/v1', model: m"), rows("url: 'http://here:1/v1', model: n"));
}

TEST_F(PipelineRecipeTest, DifferencesAreToldByStage) {
  const std::string before = write_recipe(read(kPipeline));
  const auto found =
      stage_differences(before, "old", read(kPipeline, {"stages.half.train.steps=3"}));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found.at("half"), std::vector<std::string>{"train.steps: 20 -> 3"});
}

TEST_F(PipelineRecipeTest, AnEvaluationHasNoSchedule) {
  EXPECT_SAYS(refusal(with_stages("  - {name: a, kind: evaluate, evaluate: {every: 3}}\n")),
              "stages.0.evaluate.every: has no effect");
}

TEST_F(PipelineRecipeTest, AnEvaluationRefusesWhatItWouldNotMeasure) {
  const auto of = [&](const std::string& student, const std::string& defaults = "") {
    std::string text = with_stages("  - name: a\n    kind: evaluate\n    student:\n" + student);
    if (!defaults.empty()) text.replace(text.find("student: {init"), 14, defaults);
    return text;
  };
  const std::string model = "      model: m\n      init: null\n";
  const std::string lora = refusal(of(model + "      lora: {rank: 2}\n"));
  EXPECT_SAYS(lora,
              "p.yaml:15: stages.0.student.lora: has no effect in a stage of kind `evaluate`");
  EXPECT_SAYS(lora, "behind a stage of kind `merge`");
  EXPECT_LT(lora.size(), 300u);
  EXPECT_SAYS(refusal(of(model + "      quantize: int8\n")),
              "p.yaml:15: stages.0.student.quantize: has no effect");
  EXPECT_SAYS(refusal(of(model + "      freeze: [a.weight]\n")),
              "p.yaml:15: stages.0.student.freeze: has no effect");
  EXPECT_SAYS(refusal(of(model + "      lora: {}\n")),
              "p.yaml:15: stages.0.student.lora: has no effect");
  EXPECT_SAYS(refusal(of("      init: {keep_layers: 2, fit: {}}\n")),
              "p.yaml:13: stages.0.student.init.fit: has no effect");
  // Defaults are those of the stages that have them, and nothing is nothing.
  const Recipe fitted = read(of("      freeze: null\n"), {"student.init.fit={}"}).stages[0].run();
  ASSERT_TRUE(fitted.student.init);
  EXPECT_FALSE(fitted.student.init->fit);
  const Recipe measured =
      read(of(model, "student: {lora: {rank: 2}, quantize: int8, init")).stages[0].run();
  EXPECT_FALSE(measured.student.lora);
  EXPECT_FALSE(measured.student.quantize);
  read(of(model + "      lora: null\n      quantize: null\n      freeze: []\n"));
}

TEST_F(PipelineRecipeTest, IsNoRecipeOfOneRun) {
  EXPECT_SAYS(
      testing::message_of<ConfigError>([&] { read_recipe(kPipeline, "p.yaml", {}, registries_); }),
      "p.yaml: stages: is a pipeline");
  EXPECT_SAYS(refusal(with_stages("  []\n")), "expected a list of 1 to 100 stages");
}

TEST_F(PipelineRecipeTest, ValuesRememberWhereTheyWereWritten) {
  const PipelineRecipe chain = read(kPipeline, {"stages.quarter.seed=2"});
  const SourceMap& source = chain.stages[1].source;
  EXPECT_EQ(source.where("teacher.model"), "p.yaml:14: stages.1.teacher.model");
  EXPECT_EQ(source.where("data.train.0.weight"), "p.yaml:6: stages.1.data.train.0.weight");
  EXPECT_EQ(source.where("seed"), "override `stages.quarter.seed=2`: stages.1.seed");
}

}  // namespace
}  // namespace distill::recipe
