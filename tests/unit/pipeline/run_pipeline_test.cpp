#include <distill/pipeline/run_pipeline.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/io/json_value.h>
#include <distill/teachers/local_teacher.h>

#include "pipeline/run_stage.h"
#include "unit/pipeline/tiny_chain.h"

namespace distill::pipeline {
namespace {

namespace fs = std::filesystem;
using testing::kModel;
using testing::message_of;
using testing::StoppingLogger;
using testing::TinyChain;

#define EXPECT_SAYS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "not in: " << (text)

TEST(RunPipeline, StagesLearnFromEachOther) {
  TinyChain chain;
  const PipelineResult result = chain.run();
  ASSERT_EQ(result.stages.size(), 2u);
  EXPECT_EQ(result.final_stage, "two");
  const auto config = io::read_json_file(result.model / "config.json");
  EXPECT_EQ(io::JsonCursor(config, "").at("num_hidden_layers").as_int(), 2);
  EXPECT_TRUE(result.stages[0].report->after->kl_to_teacher);
  // The second teacher is the first student: it knows the text as that one does.
  EXPECT_DOUBLE_EQ(*result.stages[1].report->after->teacher_perplexity,
                   result.stages[0].report->after->perplexity);
  EXPECT_EQ(fs::read_symlink(chain.in_chain("final")), "stages/two/final");
  EXPECT_EQ(core::hash_file(result.model / "model.safetensors"), chain.weights("two"));
}

TEST(RunPipeline, IsWhatItsStagesAreAlone) {
  TinyChain chain;
  chain.run();
  RunOptions options = chain.options();
  auto recipe = chain.recipe(TinyChain::two_stages()).stages[1].run();
  recipe.output = chain.folder / "alone";
  run_recipe(recipe, options, chain.log);
  EXPECT_EQ(core::hash_file(chain.folder / "alone/final/model.safetensors"), chain.weights("two"));
}

TEST(RunPipeline, WhatIsDoneAndUnchangedIsSkipped) {
  TinyChain chain;
  chain.run();
  const auto before = fs::last_write_time(chain.in_chain("stages/two/final/model.safetensors"));
  const PipelineResult again = chain.run();
  EXPECT_TRUE(again.stages[0].was_done && again.stages[1].was_done);
  EXPECT_TRUE(chain.log.has("stage 1/2 three: done before and unchanged, skipped"));
  EXPECT_EQ(fs::last_write_time(chain.in_chain("stages/two/final/model.safetensors")), before);
  EXPECT_TRUE(again.stages[1].report->after);  // it is told all the same
}

TEST(RunPipeline, WhatChangedIsDoneAgainAndAllBehindIt) {
  TinyChain chain;
  chain.run();
  const std::string three = chain.weights("three");
  const std::string two = chain.weights("two");
  const PipelineResult last = chain.run(TinyChain::two_stages(), {"stages.two.train.steps=4"});
  EXPECT_TRUE(last.stages[0].was_done);
  EXPECT_FALSE(last.stages[1].was_done);
  EXPECT_TRUE(chain.log.has("done again: train.steps: 6 -> 4"));
  EXPECT_TRUE(fs::exists(chain.in_chain("stages/two.old-1/final")));
  const PipelineResult both = chain.run(TinyChain::two_stages(),
                                        {"stages.two.train.steps=4", "stages.three.train.steps=4"});
  EXPECT_FALSE(both.stages[0].was_done || both.stages[1].was_done);
  EXPECT_TRUE(chain.log.has("done again: `three` before it is done again"));
  EXPECT_NE(chain.weights("three"), three);
  chain.run();  // as at first
  EXPECT_EQ(chain.weights("three"), three);
  EXPECT_EQ(chain.weights("two"), two);
}

TEST(RunPipeline, ADeletedResultIsMadeAgainBitForBit) {
  TinyChain chain;
  chain.run();
  const std::string two = chain.weights("two");
  fs::remove_all(chain.in_chain("stages/two"));
  const PipelineResult again = chain.run();
  EXPECT_TRUE(again.stages[0].was_done);
  EXPECT_FALSE(again.stages[1].was_done);
  EXPECT_EQ(chain.weights("two"), two);
}

TEST(RunPipeline, RedoDoesAStageAndWhatFollowsAgain) {
  TinyChain chain;
  chain.run();
  const PipelineResult again = chain.run(TinyChain::two_stages(), {}, {"three"});
  EXPECT_FALSE(again.stages[0].was_done || again.stages[1].was_done);
  EXPECT_SAYS(message_of<ConfigError>([&] { chain.run(TinyChain::two_stages(), {}, {"thre"}); }),
              "--redo thre: there is no such stage (did you mean `three`?)");
}

TEST(RunPipeline, RestartMovesTheWholeAside) {
  TinyChain chain;
  chain.run();
  RunOptions options = chain.options();
  options.policy = StartPolicy::kRestart;
  const auto result = run_pipeline(chain.recipe(TinyChain::two_stages()), {}, options, chain.log);
  EXPECT_FALSE(result.stages[0].was_done);
  EXPECT_TRUE(fs::exists(chain.folder / "chain.old-1/final/config.json"));
}

TEST(RunPipeline, NothingIsWrittenIntoAnotherFolder) {
  TinyChain chain;
  fs::create_directories(chain.output());
  std::ofstream(chain.in_chain("mine.txt")) << "mine";
  EXPECT_SAYS(message_of<InputError>([&] { chain.run(); }), "files that are not of a pipeline");
  EXPECT_FALSE(fs::exists(chain.in_chain("recipe.yaml")));
}

TEST(RunPipeline, TheFolderOfARunAndThatOfAPipelineAreToldApart) {
  TinyChain chain;
  auto single = chain.recipe(TinyChain::two_stages()).stages[0].run();
  single.output = chain.output();
  const auto run_single = [&] { run_recipe(single, chain.options(), chain.log); };
  run_single();
  EXPECT_SAYS(message_of<InputError>([&] { chain.run(); }),
              "is the folder of a single run, and this recipe has `stages:`");
  EXPECT_SAYS(message_of<InputError>([&] { chain.plan(); }), "is the folder of a single run");
  fs::remove_all(chain.output());
  chain.run();
  EXPECT_SAYS(message_of<InputError>(run_single),
              "is the folder of a pipeline, and this recipe has no `stages:`");
}

TEST(RunPipeline, WhatAKilledProcessLeftInAStageIsRemoved) {
  TinyChain chain;
  chain.run();
  const fs::path stage = chain.in_chain("stages/three");
  for (const char* name : {"lineage.json.tmp-123", "cache.head.tmp-aB3xYz", "notes.tmp-123",
                           "lineage.json.tmp-mine", "cache.head.tmp-long-name"}) {
    std::ofstream(stage / name) << "x";
  }
  chain.run();
  EXPECT_FALSE(fs::exists(stage / "lineage.json.tmp-123"));
  EXPECT_FALSE(fs::exists(stage / "cache.head.tmp-aB3xYz"));
  for (const char* users : {"notes.tmp-123", "lineage.json.tmp-mine", "cache.head.tmp-long-name"}) {
    EXPECT_TRUE(fs::exists(stage / users)) << users;
  }
}

TEST(RunPipeline, WhatAStoppedStageHasBehindItIsNotPlannedAgain) {
  TinyChain chain;
  const recipe::Stage stage = chain.recipe(TinyChain::two_stages()).stages[0];
  EXPECT_EQ(share_done(stage, 6), 0);
  for (const char* name : {"step_00000002", "step_00000003", "reaction_1"}) {
    fs::create_directories(stage.folder / "checkpoints" / name);
  }
  EXPECT_EQ(share_done(stage, 6), 0.5);
  EXPECT_EQ(share_done(stage, 2), 1);
}

TEST(RunPipeline, ItsReportHasTheSetsToo) {
  TinyChain chain;
  const PipelineResult result =
      chain.run(TinyChain::two_stages(),
                {"evaluate={sets: [{name: held, path: " + chain.train_file().string() + "}]}"});
  const auto value = io::read_json_file(chain.in_chain("report.json"));
  for (const char* side : {"before", "after"}) {
    const io::JsonCursor held = io::JsonCursor(value, "").at(side).at("sets").at("held");
    const auto& own = result.stages[1].report->sets.at(0);
    EXPECT_DOUBLE_EQ(held.at("perplexity").as_double(),
                     (*side == 'b' ? own.before : own.after)->value("perplexity"));
  }
}

TEST(RunPipeline, TheLineageTellsWhereTheModelComesFrom) {
  TinyChain chain;
  chain.run();
  const auto value = io::read_json_file(chain.in_chain("manifest.json"));
  const io::JsonCursor final_model = io::JsonCursor(value, "manifest").at("final");
  EXPECT_EQ(final_model.at("stage").as_string(), "two");
  const io::JsonCursor lineage = final_model.at("lineage");
  ASSERT_EQ(lineage.size(), 2u);
  EXPECT_EQ(lineage.at(0).at("teacher").as_string(), kModel.string());
  EXPECT_EQ(lineage.at(0).at("inputs").at(chain.train_file().string()).as_string(),
            core::hash_file(chain.train_file()));
  EXPECT_EQ(lineage.at(1).at("from").at(0).as_string(), "three");
  EXPECT_EQ(lineage.at(1)
                .at("outputs")
                .at(chain.in_chain("stages/two/final/model.safetensors").string())
                .as_string(),
            chain.weights("two"));
  const auto beside = io::read_json_file(chain.in_chain("stages/two/lineage.json"));
  EXPECT_EQ(io::JsonCursor(beside, "").at("lineage").size(), 2u);
  EXPECT_EQ(lineage.at(1).at("version").as_string(), DISTILL_CODE_VERSION);
}

const std::string kEveryKind = R"(  - name: rows
    kind: generate
    teacher: {kind: local, model: MODEL}
    # Hot enough that the tiny model ends some of its answers by itself.
    generate: {prompts: PROMPTS, max_new_tokens: 200, chat_template: none, samples: 6, temperature: 4, top_p: 1}
  - name: answers
    kind: cache
    teacher: {kind: cache, model: MODEL, top_k: 8}
  - name: taught
    student: {init: {from: model, keep_layers: 2}, model: MODEL}
    teacher: {kind: cache, path: "${stages.answers.output}"}
  - name: adapted
    student: {model: "${stages.taught.output}", lora: {rank: 2}}
    teacher: {kind: none}
    loss: [{kind: cross_entropy}]
    data: {train: [{path: "${stages.rows.output}"}, {path: TRAIN}]}
  - {name: merged, kind: merge, adapter: "${stages.adapted.output}"}
  - name: scores
    kind: evaluate
    student: {model: "${stages.merged.output}"}
    evaluate: {sets: [{name: held, path: TRAIN}]}
    gates: [{require: perplexity > 1}, {require: held.perplexity > 1}]
)";

std::string every_kind(const TinyChain& chain) {
  const fs::path prompts = chain.folder / "prompts.jsonl";
  std::ofstream(prompts) << "{\"prompt\": \"The river runs past\"}\n{\"prompt\": \"Numbers\"}\n";
  std::string text = kEveryKind;
  const auto put = [&text](const std::string& name, const std::string& value) {
    for (auto at = text.find(name); at != std::string::npos; at = text.find(name)) {
      text.replace(at, name.size(), value);
    }
  };
  put("MODEL", kModel.string());
  put("PROMPTS", prompts.string());
  put("TRAIN", chain.train_file().string());
  return text;
}

TEST(RunPipeline, EveryKindOfStageHandsOn) {
  TinyChain chain;
  const PipelineResult result = chain.run(every_kind(chain));
  ASSERT_EQ(result.stages.size(), 6u);
  EXPECT_EQ(result.final_stage, "merged");
  EXPECT_TRUE(fs::exists(chain.in_chain("stages/adapted/final/adapter_model.safetensors")));
  EXPECT_TRUE(fs::exists(result.model / "model.safetensors"));
  EXPECT_TRUE(result.stages[5].report->gates.at(0).holds);
  EXPECT_TRUE(result.stages[5].report->gates.at(1).holds);
  // The merged model is the adapted one.
  EXPECT_NEAR(result.stages[5].report->after->perplexity,
              result.stages[3].report->after->perplexity, 1e-3);
  const PipelineResult again = chain.run(every_kind(chain));
  for (const StageOutcome& stage : again.stages) EXPECT_TRUE(stage.was_done) << stage.name;
}

/// A local teacher that counts how many of its kind are alive.
class CountedTeacher : public teachers::Teacher {
 public:
  CountedTeacher(std::unique_ptr<teachers::Teacher> inner, int& alive, int& most)
      : inner_(std::move(inner)), alive_(alive) {
    most = std::max(most, ++alive_);
  }
  ~CountedTeacher() override { --alive_; }
  types::TeacherSignal signal(const types::Batch& batch) override { return inner_->signal(batch); }
  std::string describe() const override { return inner_->describe(); }

 private:
  std::unique_ptr<teachers::Teacher> inner_;
  int& alive_;
};

TEST(RunPipeline, OneTeacherIsGoneBeforeTheNextComes) {
  TinyChain chain;
  int alive = 0;
  int most = 0;
  int made = 0;
  std::weak_ptr<models::CausalLm> student;
  chain.registries.teachers.add<recipe::LocalTeacherOptions>(
      "counted",
      [&](const recipe::LocalTeacherOptions& options, const recipe::TeacherContext& context) {
        ++made;
        EXPECT_TRUE(student.expired()) << "the student of the stage before is still held";
        student = context.student;
        auto model = models::load_causal_lm(options.model, {});
        return std::make_unique<CountedTeacher>(
                   teachers::make_local_teacher(std::move(model), options.model), alive, most)
            .release();
      });
  chain.run(
      "  - name: one\n"
      "    student: {init: {from: model, keep_layers: 3}, model: " +
      kModel.string() +
      "}\n"
      "    teacher: {kind: counted, model: " +
      kModel.string() +
      "}\n"
      "  - name: other\n"
      "    student: {init: {from: model, keep_layers: 2}, model: " +
      kModel.string() +
      "}\n"
      "    teacher: {kind: counted, model: \"${stages.one.output}\"}\n");
  EXPECT_EQ(made, 2);
  EXPECT_EQ(most, 1);
  EXPECT_EQ(alive, 0);
}

void stop_at(TinyChain& chain, const std::string& line, const std::vector<std::string>& redo = {}) {
  StoppingLogger log(chain.stop, line);
  EXPECT_SAYS(message_of<Interrupted>([&] {
                run_pipeline(chain.recipe(TinyChain::two_stages()), redo, chain.options(), log);
              }),
              "stopped by signal 15");
  chain.stop.request(0);
}

TEST(RunPipeline, AStopKeepsWhatIsDone) {
  TinyChain straight;
  straight.run();
  TinyChain chain;
  stop_at(chain, "stage 2/2 two: ");
  const PipelineResult result = chain.run();
  ASSERT_EQ(result.stages.size(), 2u);
  EXPECT_TRUE(result.stages[0].was_done);
  EXPECT_FALSE(result.stages[1].was_done);
  EXPECT_EQ(chain.weights("two"), straight.weights("two"));
}

TEST(RunPipeline, AStoppedRedoIsGoneOnWithAndSoAreThoseThatDependOnIt) {
  TinyChain chain;
  chain.run();
  stop_at(chain, "stage 1/2 three: ", {"three"});
  const PipelineResult again = chain.run();  // without --redo
  EXPECT_FALSE(again.stages[0].was_done);
  EXPECT_FALSE(again.stages[1].was_done) << "it learned from the stage that was done again";
  EXPECT_TRUE(chain.run().stages[1].was_done);
}

TEST(RunPipeline, TheSameRedoAfterAStopGoesOn) {
  TinyChain chain;
  chain.run();
  stop_at(chain, "stage 1/2 three: ", {"three"});
  chain.run(TinyChain::two_stages(), {}, {"three"});
  EXPECT_TRUE(chain.log.has("stage 1/2 three: train"));
  EXPECT_TRUE(chain.log.has("; going on"));
  EXPECT_FALSE(fs::exists(chain.in_chain("stages/three.old-2")));
}

TEST(RunPipeline, AStageThatComesBackIsDoneAgain) {
  TinyChain chain;
  chain.run();
  const std::string two = chain.weights("two");
  const std::string first = TinyChain::two_stages();
  const std::vector<std::string> changed = {"stages.three.train.steps=4"};
  chain.run(first.substr(0, first.find("  - name: two")), changed);
  const PipelineResult back = chain.run(first, changed);
  EXPECT_TRUE(back.stages[0].was_done);
  EXPECT_FALSE(back.stages[1].was_done);
  EXPECT_NE(chain.weights("two"), two);
  EXPECT_TRUE(fs::exists(chain.in_chain("stages/two.old-1/final")));
}

}  // namespace
}  // namespace distill::pipeline
