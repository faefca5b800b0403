#include <distill/recipe/pipeline_recipe.h>

#include <filesystem>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/recipe/read.h>
#include <distill/recipe/write.h>
#include "support/temp_folder.h"

namespace distill::recipe {
namespace {

const std::string kPipeline = R"(name: chain
output: out
seed: 5
student: {init: {from: teacher, keep_layers: 4}}
teacher: {kind: local, model: models/big, quantize: int8}
data: {train: [{path: a.jsonl}], eval: [{path: b.jsonl}], sequence_length: 64}
loss: [{kind: forward_kl}]
train: {steps: 40, batch_size: 4}
stages:
  - name: half
    train: {steps: 20}
  - name: quarter
    student: {init: {keep_layers: 2}}
    teacher: {model: "${stages.half.output}"}
    loss: [{kind: cross_entropy}]
  - name: scores
    kind: evaluate
    student: {model: "${stages.quarter.output}", init: null}
)";

class PipelineRecipeTest : public ::testing::Test {
 protected:
  PipelineRecipe read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return std::get<PipelineRecipe>(read_any_recipe(text, "p.yaml", overrides, registries_));
  }
  std::string refusal(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return testing::message_of<ConfigError>([&] { read(text, overrides); });
  }
  /// The stages of kPipeline with others in their place.
  std::string with_stages(const std::string& stages) {
    return kPipeline.substr(0, kPipeline.find("  - name: half")) + stages;
  }
  static std::string local_model(const Recipe& recipe) {
    return recipe.teacher.options<LocalTeacherOptions>()->model;
  }
  Registries registries_ = builtin_registries();
};

#define EXPECT_SAYS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "not in: " << (text)

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

TEST_F(PipelineRecipeTest, ARingOfStagesIsNamedWhole) {
  EXPECT_SAYS(
      refusal(with_stages("  - name: one\n    teacher: {model: \"${stages.three.output}\"}\n"
                          "  - name: two\n    teacher: {model: \"${stages.one.output}\"}\n"
                          "  - name: three\n    teacher: {model: \"${stages.two.output}\"}\n")),
      "`one` needs `three`, which needs `two`, which needs `one`; one must do without");
}

TEST_F(PipelineRecipeTest, ReferencesThatMeanNoEarlierStageAreFoundTogether) {
  const std::string what =
      refusal(with_stages("  - name: one\n    teacher: {model: \"${stages.two.output}\"}\n"
                          "  - name: two\n    teacher: {model: \"${stages.one.output}\"}\n"
                          "  - name: three\n    teacher: {model: \"${stages.thre.output}\"}\n"
                          "    student: {model: \"${stages.three.output}\", init: null}\n"
                          "  - name: four\n    teacher: {model: \"${stages.five.output}\"}\n"
                          "    data: {train: [{path: \"${HOME}/a\"}]}\n"
                          "  - {name: five}\n"));
  EXPECT_SAYS(what,
              "p.yaml:11: stages.0.teacher.model: `${stages.two.output}`: `one` and `two` "
              "need each other's results");
  EXPECT_SAYS(what,
              "p.yaml:15: stages.2.teacher.model: `${stages.thre.output}` means no stage (did "
              "you mean `three`?)");
  EXPECT_SAYS(what,
              "p.yaml:16: stages.2.student.model: `${stages.three.output}` is the result of "
              "this very stage");
  EXPECT_SAYS(what, "p.yaml:18: stages.3.teacher.model: `${stages.five.output}` comes later");
  EXPECT_SAYS(what, "p.yaml:19: stages.3.data.train.0.path: `${HOME}` is not known");
}

TEST_F(PipelineRecipeTest, NamesOfStagesAreTheirFolders) {
  const std::string what = refusal(with_stages(
      "  - {name: a}\n  - {name: a}\n  - {name: b/c}\n  - {seed: 3}\n  - {name: '7'}\n"));
  EXPECT_SAYS(what, "p.yaml:11: stages.1.name: `a` is the name of an earlier stage");
  EXPECT_SAYS(what, "p.yaml:12: stages.2.name: ");
  EXPECT_SAYS(what, "p.yaml:13: stages.3.name: missing");
  EXPECT_SAYS(what, "p.yaml:14: stages.4.name: ");
}

TEST_F(PipelineRecipeTest, OfAResultOnlyItsOwnKindCanBeRead) {
  const std::string what = refusal(
      with_stages("  - name: adapted\n    student: {model: small, init: null, lora: {rank: 2}}\n"
                  "    teacher: {kind: base}\n"
                  "  - name: on\n    student: {model: \"${stages.adapted.output}\", init: null}\n"
                  "  - name: rows\n    data: {train: [{path: \"${stages.on.output}\"}]}\n"));
  EXPECT_SAYS(what,
              "p.yaml:14: stages.1.student.model: the stage `adapted` leaves an adapter, "
              "expected a model; put a stage of kind `merge` between them");
  EXPECT_SAYS(what, "stages.2.data.train.0.path: the stage `on` leaves a model, expected rows");
}

TEST_F(PipelineRecipeTest, AResultIsKnownByItsPathToo) {
  const PipelineRecipe chain = read(
      with_stages("  - {name: one}\n  - {name: two, teacher: {model: out/stages/one/final}}\n"));
  EXPECT_EQ(chain.stages[1].needs, std::vector<std::size_t>{0});
  EXPECT_SAYS(refusal(with_stages("  - {name: one, teacher: {model: out/stages/two/final}}\n"
                                  "  - {name: two}\n")),
              "names the result of the later stage `two`");
}

TEST_F(PipelineRecipeTest, APathToAResultCountsHoweverItIsSpelled) {
  const auto with_teacher = [&](const std::string& path) {
    return read(
        with_stages("  - {name: one}\n  - {name: two, teacher: {model: \"" + path + "\"}}\n"));
  };
  const std::string expected = stage_identity(with_teacher("${stages.one.output}").stages[1]);
  const std::string whole = std::filesystem::absolute("out/stages/one/final").string();
  for (const std::string& path :
       {std::string("./out/stages/one/final"), std::string("out/stages/two/../one//final/"),
        std::string("elsewhere/../out/./stages/one/final"), whole}) {
    const PipelineRecipe chain = with_teacher(path);
    EXPECT_EQ(chain.stages[1].needs, std::vector<std::size_t>{0}) << path;
    EXPECT_EQ(local_model(chain.stages[1].run()), "out/stages/one/final") << path;
    EXPECT_EQ(stage_identity(chain.stages[1]), expected) << path;
  }
}

TEST_F(PipelineRecipeTest, OtherPathsIntoTheStagesAreRefused) {
  const std::string what = refusal(
      with_stages("  - {name: one}\n"
                  "  - {name: two, teacher: {model: out/stages/one/checkpoints/step_00000001}}\n"
                  "  - {name: three, teacher: {model: ./out/stages/gone/final}}\n"
                  "  - {name: four, data: {train: [{path: out/stages/one}]}}\n"));
  EXPECT_SAYS(what,
              "p.yaml:11: stages.1.teacher.model: `out/stages/one/checkpoints/step_00000001` "
              "lies in the folders of this pipeline's stages");
  EXPECT_SAYS(what, "p.yaml:12: stages.2.teacher.model: ");
  EXPECT_SAYS(what, "p.yaml:13: stages.3.data.train.0.path: ");
  EXPECT_SAYS(what, "name a result as `${stages.NAME.output}`");
}

TEST_F(PipelineRecipeTest, SettingsOfFurtherTriesNameResultsToo) {
  const auto gates = [](const std::string& with) {
    return "    gates: [{require: perplexity < 9, on_failure: retry, with: [" + with + "]}]\n";
  };
  const PipelineRecipe chain =
      read(with_stages("  - {name: one}\n  - name: two\n" +
                       gates("{teacher: {model: \"${stages.one.output}\"}, seed: 3}, "
                             "{teacher.model: ./out/stages/one/final}")));
  EXPECT_EQ(chain.stages[1].needs, std::vector<std::size_t>{0});
  const auto& with = chain.stages[1].run().gates.at(0).with;
  EXPECT_EQ(with.at(0).set,
            (std::vector<std::string>{"teacher.model=out/stages/one/final", "seed=3"}));
  EXPECT_EQ(with.at(1).set, std::vector<std::string>{"teacher.model=out/stages/one/final"});
  const std::string what = refusal(with_stages(
      "  - name: one\n" + gates("{seed: 2}, {teacher.model: \"${stages.twoo.output}\"}") +
      "  - {name: rows, kind: generate, teacher: {kind: local, model: m, quantize: null},\n"
      "     generate: {prompts: p.jsonl}}\n"
      "  - name: two\n" +
      gates("{teacher.model: out/stages/one}")));
  EXPECT_SAYS(what,
              "p.yaml:11: stages.0.gates.0.with.1: teacher.model: `${stages.twoo.output}` means "
              "no stage (did you mean `two`?)");
  EXPECT_SAYS(what, "p.yaml:15: stages.2.gates.0.with.0: teacher.model: `out/stages/one` lies in");
  EXPECT_SAYS(refusal(with_stages(
                  "  - {name: rows, kind: generate, teacher: {kind: local, model: m, quantize: "
                  "null}, generate: {prompts: p.jsonl}}\n"
                  "  - name: two\n" +
                  gates("{teacher.model: \"${stages.rows.output}\"}"))),
              "stages.1.gates.0.with.0: the stage `rows` leaves rows of data, expected a model");
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

TEST_F(PipelineRecipeTest, AReferenceWithoutQuotesInBracesIsExplained) {
  EXPECT_SAYS(refusal(with_stages("  - {name: a, teacher: {model: ${stages.b.output}}}\n")),
              "inside `{...}` a `${...}` stands in quotes");
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
