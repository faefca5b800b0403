// What `${stages.NAME.output}` means, and paths that mean the same.
#include <filesystem>

#include <distill/recipe/write.h>
#include "unit/recipe/pipeline_recipe_fixture.h"

namespace distill::recipe {
namespace {

using StageReferencesTest = PipelineRecipeTest;

TEST_F(StageReferencesTest, ARingOfStagesIsNamedWhole) {
  EXPECT_SAYS(
      refusal(with_stages("  - name: one\n    teacher: {model: \"${stages.three.output}\"}\n"
                          "  - name: two\n    teacher: {model: \"${stages.one.output}\"}\n"
                          "  - name: three\n    teacher: {model: \"${stages.two.output}\"}\n")),
      "`one` needs `three`, which needs `two`, which needs `one`; one must do without");
}

TEST_F(StageReferencesTest, ReferencesThatMeanNoEarlierStageAreFoundTogether) {
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

TEST_F(StageReferencesTest, NamesOfStagesAreTheirFolders) {
  const std::string what = refusal(with_stages(
      "  - {name: a}\n  - {name: a}\n  - {name: b/c}\n  - {seed: 3}\n  - {name: '7'}\n"));
  EXPECT_SAYS(what, "p.yaml:11: stages.1.name: `a` is the name of an earlier stage");
  EXPECT_SAYS(what, "p.yaml:12: stages.2.name: ");
  EXPECT_SAYS(what, "p.yaml:13: stages.3.name: missing");
  EXPECT_SAYS(what, "p.yaml:14: stages.4.name: ");
}

TEST_F(StageReferencesTest, OfAResultOnlyItsOwnKindCanBeRead) {
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

TEST_F(StageReferencesTest, AResultIsKnownByItsPathToo) {
  const PipelineRecipe chain = read(
      with_stages("  - {name: one}\n  - {name: two, teacher: {model: out/stages/one/final}}\n"));
  EXPECT_EQ(chain.stages[1].needs, std::vector<std::size_t>{0});
  EXPECT_SAYS(refusal(with_stages("  - {name: one, teacher: {model: out/stages/two/final}}\n"
                                  "  - {name: two}\n")),
              "names the result of the later stage `two`");
}

TEST_F(StageReferencesTest, APathToAResultCountsHoweverItIsSpelled) {
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

TEST_F(StageReferencesTest, OtherPathsIntoTheStagesAreRefused) {
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

TEST_F(StageReferencesTest, SettingsOfFurtherTriesNameResultsToo) {
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

TEST_F(StageReferencesTest, AReferenceWithoutQuotesInBracesIsExplained) {
  EXPECT_SAYS(refusal(with_stages("  - {name: a, teacher: {model: ${stages.b.output}}}\n")),
              "inside `{...}` a `${...}` stands in quotes");
}

}  // namespace
}  // namespace distill::recipe
