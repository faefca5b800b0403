#include <distill/pipeline/pipeline_plan.h>

#include <algorithm>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/io/json_value.h>

#include "unit/pipeline/tiny_chain.h"

namespace distill::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::kModel;
using testing::message_of;
using testing::TinyChain;

#define EXPECT_SAYS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "not in: " << (text)

TEST(PipelinePlan, KnowsModelsThatAreNotThereYet) {
  TinyChain chain;
  const PipelinePlan plan = chain.plan();
  ASSERT_EQ(plan.stages.size(), 2u);
  const recipe::PlannedModels& second = plan.stages[1].plan->models;
  EXPECT_EQ(second.teacher->layers.size(), 3u);
  EXPECT_EQ(second.student.layers.size(), 2u);
  EXPECT_EQ(second.teacher->folder, chain.in_chain("stages/three/final"));
  EXPECT_GT(plan.stages[1].memory.certain(), 0u);
  // fp32 weights of the student; masters and moments of two checkpoints and the next.
  const auto parameters = static_cast<std::uint64_t>(second.student.num_parameters);
  EXPECT_EQ(plan.stages[1].disk.model, 4 * parameters);
  EXPECT_EQ(plan.stages[1].disk.checkpoints, 3 * 12 * parameters);
  EXPECT_EQ(plan.disk(), plan.stages[0].disk.total() + plan.stages[1].disk.total());
  EXPECT_EQ(plan.stages[1].disk.forgetting + plan.stages[1].disk.attempts, 0u);
  // Nothing is left, neither there nor where it was planned.
  EXPECT_FALSE(fs::exists(chain.output()));
  EXPECT_TRUE(fs::is_empty(chain.folder / "scratch"));
}

TEST(PipelinePlan, IsWhatTheRealModelGives) {
  TinyChain chain;
  const PipelinePlan before = chain.plan();
  chain.run();
  // Only the second is planned again, with the model that is there now.
  const PipelinePlan after =
      chain.plan(TinyChain::two_stages(), {"stages.two.train.optimizer.lr=1.0e-3"});
  EXPECT_TRUE(after.stages[0].is_done);
  EXPECT_EQ(after.stages[1].state, "again: train.optimizer.lr: 0.003 -> 0.001");
  EXPECT_EQ(after.stages[1].memory.total(), before.stages[1].memory.total());
  EXPECT_EQ(after.stages[1].work, before.stages[1].work);
}

TEST(PipelinePlan, EverythingWrongIsFoundTogetherWithItsLine) {
  TinyChain chain;
  const std::string what = message_of<ConfigError>([&] {
    chain.plan(
        "  - name: three\n"
        "    student: {init: {from: teacher, keep_layers: 3}}\n"
        "    gates: [{require: accurcy < 1}]\n"
        "  - name: two\n"
        "    student: {init: {from: teacher, keep_layers: 4}}\n"  // of three
        "    teacher: {model: \"${stages.three.output}\"}\n"
        "  - name: gone\n"
        "    student: {init: {from: teacher, keep_layers: 2}}\n"
        "    teacher: {model: /nowhere/model}\n"
        "  - name: long\n"
        "    student: {init: {from: teacher, keep_layers: 2}}\n"
        "    data: {train: [{path: /nowhere/rows.jsonl}], sequence_length: 4096}\n");
  });
  EXPECT_SAYS(what, "chain.yaml:15: stages.0.gates.0.require: `accurcy` is not measured");
  EXPECT_SAYS(what, "chain.yaml:17: stages.1.student.init.keep_layers: 4, but " +
                        chain.in_chain("stages/three/final").string() + " has 3 layers");
  EXPECT_SAYS(what, "chain.yaml:21: stages.2.teacher.model: /nowhere/model: no such folder");
  EXPECT_SAYS(what, "chain.yaml:24: stages.3.data.train.0.path: /nowhere/rows.jsonl");
  EXPECT_FALSE(fs::exists(chain.output()));
}

TEST(PipelinePlan, WhatCannotBeReadIsToldWithTheRest) {
  TinyChain chain;
  const std::string what = message_of<ConfigError>([&] {
    chain.plan(
        "  - name: lost\n"
        "    student: {init: {from: teacher, keep_layers: 3}}\n"
        "    teacher: {model: \"${stages.nothing.output}\"}\n"
        "    gates: [{require: accurcy < 1}]\n"  // of a stage that is not known
        "  - name: after\n"
        "    student: {init: {from: teacher, keep_layers: 2}}\n"
        "    teacher: {model: \"${stages.lost.output}\"}\n"
        "    gates: [{require: accurcy < 1}]\n"
        "  - name: gone\n"
        "    student: {init: {from: teacher, keep_layers: 2}}\n"
        "    teacher: {model: /nowhere/model}\n"
        "    gates: [{require: top1_agreemnt > 0}]\n"
        "  - name: slip\n"
        "    student: {init: {from: teacher, keep_layer: 2}}\n"
        "    gates: [{require: accurcy < 1}]\n"  // who knows what was meant
        "  - name: many\n"
        "    student: {init: {from: teacher, keep_layers: 9}}\n");
  });
  EXPECT_EQ(std::ranges::count(what, '\n'), 5) << what;
  EXPECT_LT(what.find("chain.yaml:24:"), what.find("chain.yaml:26:")) << what;  // as in the file
  EXPECT_SAYS(what,
              "chain.yaml:15: stages.0.teacher.model: `${stages.nothing.output}` means no "
              "stage");
  EXPECT_SAYS(what, "chain.yaml:20: stages.1.gates.0.require: `accurcy` is not measured");
  EXPECT_SAYS(what, "chain.yaml:23: stages.2.teacher.model: /nowhere/model: no such folder");
  EXPECT_SAYS(what, "chain.yaml:24: stages.2.gates.0.require: `top1_agreemnt` is not measured");
  EXPECT_SAYS(what, "chain.yaml:26: stages.3.student.init.keep_layer: unknown key");
  EXPECT_SAYS(what, "chain.yaml:29: stages.4.student.init.keep_layers: 9, but ");
  EXPECT_FALSE(fs::exists(chain.output()));
}

TEST(PipelinePlan, WhatWasDoneIsLookedAtBesideWhatCannotBeRead) {
  TinyChain chain;
  chain.run();
  std::ofstream(chain.train_file(), std::ios::app) << "{\"text\": \"more\"}\n";
  const std::string what = message_of<ConfigError>([&] {
    chain.plan(
        TinyChain::two_stages() +
        "  - {name: bad, kind: generate, generate: {prompts: [1]}, teacher: {model: \"${stages."
        "nothing.output}\"}}\n");
  });
  EXPECT_SAYS(what, "`${stages.nothing.output}` means no stage");
  EXPECT_SAYS(what, " has changed since the stage `three` was begun");
  EXPECT_SAYS(what, " has changed since the stage `two` was begun");
}

TEST(PipelinePlan, WhatIsDoneNeedsNothingThoughAStageBeforeItCannotBeRead) {
  TinyChain chain;
  chain.run();
  fs::remove(chain.train_file());
  EXPECT_TRUE(chain.plan().stages[1].is_done);
  std::string stages = TinyChain::two_stages();
  stages.insert(stages.find("  - name: two"), "    trian: {steps: 2}\n");
  const std::string what = message_of<ConfigError>([&] { chain.plan(stages); });
  EXPECT_EQ(std::ranges::count(what, '\n'), 0) << what;
  EXPECT_SAYS(what, "trian");
}

TEST(PipelinePlan, AGateOnWhatIsNotMeasuredIsFound) {
  TinyChain chain;
  EXPECT_SAYS(message_of<ConfigError>([&] {
                chain.plan(TinyChain::two_stages(),
                           {"stages.two.gates=[{require: top1_agreemnt > 0}]"});
              }),
              "stages.1.gates.0.require: `top1_agreemnt` is not measured (did you mean "
              "`top1_agreement`?)");
  EXPECT_SAYS(message_of<ConfigError>([&] {
                chain.plan(TinyChain::two_stages(), {"data.eval=[]", "gates=[{require: a < 1}]"});
              }),
              "nothing is: give `data.eval`");
}

TEST(PipelinePlan, ACacheOfOtherRowsIsFoundBeforeItIsMade) {
  TinyChain chain;
  const std::string stages =
      "  - {name: answers, kind: cache, teacher: {kind: cache, model: " + kModel.string() +
      "}}\n"
      "  - name: taught\n"
      "    student: {model: " +
      kModel.string() +
      "}\n"
      "    teacher: {kind: cache, path: \"${stages.answers.output}\"}\n";
  const PipelinePlan plan = chain.plan(stages);
  EXPECT_GT(plan.stages[0].disk.cache, 0u);
  EXPECT_EQ(plan.stages[1].plan->models.cache->spec.size, 32);
  EXPECT_SAYS(message_of<ConfigError>(
                  [&] { chain.plan(stages, {"stages.taught.data.sequence_length=32"}); }),
              "it was captured with sequence_length 64, the recipe has 32");
}

TEST(PipelinePlan, OtherTokenizersAreFoundInLaterStages) {
  TinyChain chain;
  // The same vocabulary size, but some ids mean something else.
  const fs::path other = chain.folder / "other";
  fs::copy(kModel, other);
  std::string tokenizer = testing::read(other / "tokenizer.json");
  for (const auto& [from, to] :
       {std::pair("\"lit\": 300", "\"lit\": 301"), std::pair("\"ns\": 301", "\"ns\": 300")}) {
    const auto place = tokenizer.find(from);
    ASSERT_NE(place, std::string::npos);
    tokenizer.replace(place, std::string(from).size(), to);
  }
  std::ofstream(other / "tokenizer.json") << tokenizer;
  const std::string what = message_of<ConfigError>([&] {
    chain.plan(
        "  - name: three\n"
        "    student: {init: {from: teacher, keep_layers: 3}}\n"
        "  - name: two\n"
        "    student: {init: {from: model, keep_layers: 2}, model: " +
        other.string() +
        "}\n"
        "    teacher: {model: \"${stages.three.output}\"}\n");
  });
  EXPECT_SAYS(what, "stages.1");
  EXPECT_SAYS(what, "its tokenizer gives other ids than that of the teacher " +
                        chain.in_chain("stages/three/final").string());
}

TEST(PipelinePlan, WhatNobodyReadsIsWarnedOf) {
  TinyChain chain;
  const PipelinePlan plan = chain.plan(
      "  - {name: unread, student: {init: {from: teacher, keep_layers: 3}}}\n"
      "  - {name: last, student: {init: {from: teacher, keep_layers: 2}}}\n");
  ASSERT_EQ(plan.warnings.size(), 1u);
  EXPECT_SAYS(plan.warnings[0], "no stage reads the result of `unread`");
}

TEST(PipelinePlan, TextAndJsonTellOfEveryStage) {
  TinyChain chain;
  const auto recipe = chain.recipe(TinyChain::two_stages());
  const PipelinePlan plan = plan_pipeline(recipe, {}, chain.options(), chain.log);
  const std::string text = plan_text(recipe, plan);
  EXPECT_SAYS(text, "## stage three (train)");
  EXPECT_SAYS(text, "## stage two (train)");
  EXPECT_SAYS(text, chain.in_chain("stages/three/final").string() + ": ");
  EXPECT_EQ(text.find("distill-plan-"), std::string::npos);
  const auto value = io::parse_json(plan_json(recipe, plan), "plan");
  const io::JsonCursor stages = io::JsonCursor(value, "plan").at("stages");
  ASSERT_EQ(stages.size(), 2u);
  EXPECT_EQ(stages.at(1).at("plan").at("student").at("layers").as_int(), 2);
  EXPECT_GT(stages.at(1).at("disk_bytes").at("total").as_int(), 0);
}

TEST(PipelinePlan, AnEvaluationTrainsNothing) {
  TinyChain chain;
  const auto recipe = chain.recipe(
      "  - {name: scores, kind: evaluate, student: {model: " + kModel.string() + "}}\n");
  const PipelinePlan plan = plan_pipeline(recipe, {}, chain.options(), chain.log);
  EXPECT_EQ(plan.stages[0].plan->trainable_parameters, 0);
  EXPECT_EQ(plan.stages[0].plan->memory.moments, 0u);
  EXPECT_EQ(plan.stages[0].plan->memory.total(), plan.stages[0].memory.total());
  const std::string text = plan_text(recipe, plan);
  const std::string own = text.substr(text.find("## stage scores"));
  for (const char* part : {"trained  ", "steps    ", "moments", "gradients", "training data"}) {
    EXPECT_EQ(own.find(part), std::string::npos) << part << " in " << own;
  }
  EXPECT_SAYS(own, "eval ");
}

TEST(PipelinePlan, AMergeIsPlannedInWhatItComputesWith) {
  TinyChain chain;
  const auto merge = [&](const std::string& dtype) {
    return chain
        .plan(
            "  - name: adapted\n"
            "    student: {model: " +
            kModel.string() +
            ", lora: {rank: 2}}\n"
            "    teacher: {kind: base}\n"
            "  - {name: merged, kind: merge, adapter: \"${stages.adapted.output}\", dtype: " +
            dtype + "}\n")
        .stages[1];
  };
  const StagePlan wide = merge("fp32");
  const StagePlan narrow = merge("bf16");
  // fp32 weights are merged as such and rounded once, on the way into the file.
  EXPECT_GT(wide.memory.student, 0u);
  EXPECT_EQ(narrow.memory.student, wide.memory.student);
  EXPECT_EQ(2 * narrow.disk.model, wide.disk.model);
}

TEST(PipelinePlan, SaysWhatDoesNotFitIntoMemory) {
  TinyChain chain;
  EXPECT_TRUE(chain.plan().warnings.empty());
  const std::uint64_t needed = chain.plan().stages[1].memory.certain();
  RunOptions options = chain.options();
  const auto plan_with = [&](std::uint64_t available) {
    options.available_memory = available;
    return plan_pipeline(chain.recipe(TinyChain::two_stages()), {}, options, chain.log);
  };
  const PipelinePlan tight = plan_with(needed);
  ASSERT_EQ(tight.warnings.size(), 2u);
  EXPECT_SAYS(tight.warnings[1], "stage `two`: about ");
  const PipelinePlan small = plan_with(needed - 1);
  EXPECT_SAYS(small.warnings.at(1), "stage `two`: training needs at least ");
  EXPECT_SAYS(plan_text(chain.recipe(TinyChain::two_stages()), small),
              "warning  stage `two`: training needs at least ");
}

TEST(PipelinePlan, TheFolderOfAnotherPipelineIsRefusedBesideAllElse) {
  TinyChain chain;
  chain.run();
  const std::string what = message_of<ConfigError>([&] {
    chain.run(TinyChain::two_stages(), {"name=other", "stages.two.teacher.model=/nowhere"});
  });
  EXPECT_SAYS(what, "chain.yaml:2: output: ");
  EXPECT_SAYS(what, " is the folder of the pipeline `chain`, and this one is `other`; ");
  EXPECT_SAYS(what, "/nowhere: no such folder");
  RunOptions options = chain.options();
  options.policy = StartPolicy::kRestart;
  const auto recipe = chain.recipe(TinyChain::two_stages(), {"name=other"});
  EXPECT_EQ(plan_pipeline(recipe, {}, options, chain.log).stages[0].state, "new");
  EXPECT_FALSE(run_pipeline(recipe, {}, options, chain.log).stages[0].was_done);
  EXPECT_TRUE(fs::exists(chain.output().string() + ".old-1"));
}

TEST(PipelinePlan, InputInsideThePipelinesFolderIsRefused) {
  TinyChain chain;
  chain.run();
  const fs::path inside = chain.in_chain("own.jsonl");
  fs::copy_file(chain.train_file(), inside);
  EXPECT_SAYS(message_of<ConfigError>([&] {
                chain.plan(TinyChain::two_stages(),
                           {"stages.two.data.train=[{path: " + inside.string() + "}]"});
              }),
              "lies in the pipeline's own folder");
}

}  // namespace
}  // namespace distill::pipeline
