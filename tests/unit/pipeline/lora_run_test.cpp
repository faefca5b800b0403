// Runs that train adapters.
#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/eval/evaluate.h>
#include <distill/lora/peft.h>

#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline {
namespace {

using testing::kModel;
using testing::message_of;
using testing::read;
using testing::TinyRun;

using Overrides = std::vector<std::string>;

Overrides with_lora(const std::string& lora, const Overrides& more = {}) {
  Overrides all = {"student.init=null", "student.model=" + kModel.string(), "student.freeze=[]",
                   "student.lora=" + lora};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// Text that the tiny model has not learned by heart.
Overrides with_domain(const TinyRun& run, const std::string& lora, const Overrides& more) {
  const auto file = run.folder / "domain.jsonl";
  std::ofstream rows(file);
  for (int i = 0; i < 24; ++i)
    rows << R"({"text": "ruofl skcas )" << i % 7 << R"( ynam llim eht"})"
         << "\n";
  Overrides all = with_lora(
      lora, {"data.train.0.path=" + file.string(), "data.eval.0.path=" + file.string(),
             "teacher={kind: base}", "loss=[{kind: cross_entropy}]", "train.optimizer.lr=0.02"});
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

const std::string kLora = "{rank: 4, alpha: 8, dropout: 0.2}";

std::string tensors(const TinyRun& run) {
  return read(run.in_run("final/adapter_model.safetensors"));
}

TEST(LoraRun, WritesAnAdapterAndLeavesTheBaseAlone) {
  const std::string before = read(kModel / "model.safetensors");
  TinyRun run;
  const auto result = run.run(with_lora(kLora, {"train.steps=6"}));
  EXPECT_EQ(read(kModel / "model.safetensors"), before);
  EXPECT_FALSE(std::filesystem::exists(run.in_run("final/model.safetensors")));
  const auto config = lora::read_adapter_config(run.in_run("final"));
  EXPECT_EQ(config.options.rank, 4);
  EXPECT_EQ(config.base_model, kModel.string());
  EXPECT_EQ(result.report.trained_parameters, config.num_parameters);
  EXPECT_LT(result.report.trained_parameters, result.report.student.parameters);
  // The student is the teacher at first, so only the adapter can have moved it.
  EXPECT_NEAR(*result.report.before->kl_to_teacher, 0, 1e-9);
  const auto model = lora::load_with_adapter(kModel, run.in_run("final"), {});
  EXPECT_FALSE(model->adapters().empty());
}

TEST(LoraRun, SupervisedTrainingLearnsTheDomain) {
  TinyRun run;
  const auto result =
      run.run(with_domain(run, "{rank: 8}", {"teacher={kind: none}", "train.steps=30"}));
  EXPECT_LT(result.report.after->perplexity, 0.2 * result.report.before->perplexity);
}

TEST(LoraRun, StoppedAnywhereItGoesOnBitForBit) {
  for (const std::string precision : {"fp32", "bf16"}) {
    const Overrides recipe =
        with_lora(kLora, {"train.steps=6", "checkpoint.every=2", "precision=" + precision});
    TinyRun whole;
    whole.run(recipe);
    for (const int calls : {1, 4, 7, 11}) {
      TinyRun stopped;
      ASSERT_FALSE(stopped.run_and_stop(calls, recipe).empty());
      stopped.run(recipe);
      EXPECT_EQ(tensors(stopped), tensors(whole)) << calls << " in " << precision;
    }
  }
}

TEST(LoraRun, PissaGoesOnToo) {
  const Overrides recipe =
      with_lora("{rank: 4, init: pissa}", {"train.steps=6", "checkpoint.every=2"});
  TinyRun whole, stopped;
  whole.run(recipe);
  ASSERT_FALSE(stopped.run_and_stop(7, recipe).empty());
  stopped.run(recipe);
  EXPECT_EQ(tensors(stopped), tensors(whole));
  EXPECT_EQ(lora::read_adapter_config(whole.in_run("final")).options.rank, 8);
}

TEST(LoraRun, TheBaseItselfIsATeacher) {
  const auto run_with = [](TinyRun& run, const std::string& weight) {
    return run.run(with_domain(run, "{rank: 8}",
                               {"train.steps=20",
                                "loss=[{kind: cross_entropy}, {kind: forward_kl, "
                                "temperature: 1.0, weight: " +
                                    weight + "}]"}));
  };
  TinyRun anchored, free;
  const auto near = run_with(anchored, "3.0"), far = run_with(free, "0.0");
  EXPECT_NEAR(*near.report.before->kl_to_teacher, 0, 1e-9);
  EXPECT_GT(*near.report.after->kl_to_teacher, 0);
  EXPECT_LT(*near.report.after->kl_to_teacher, 0.5 * *far.report.after->kl_to_teacher);
}

TEST(LoraRun, TrainsEveryVariant) {
  for (const char* lora :
       {"{rank: 2, dora: true}", "{rank: 3, rslora: true, targets: [q_proj, v_proj]}",
        "{rank: 2, targets: [embed_tokens, down_proj]}",
        "{rank: 2, init: gaussian, targets: '.*self_attn.*'}",
        "{rank: 2, rank_pattern: [{modules: down_proj, rank: 5}]}"}) {
    TinyRun run;
    const auto result =
        run.run(with_domain(run, lora, {"train.steps=12", "train.activation_checkpointing=true"}));
    EXPECT_LT(result.report.after->perplexity, 0.8 * result.report.before->perplexity) << lora;
    EXPECT_NO_THROW(lora::load_with_adapter(kModel, run.in_run("final"), {})) << lora;
  }
}

struct Refusal {
  const char* name;
  Overrides overrides;
  const char* message;
};

TEST(LoraRun, RefusesWhatCannotBe) {
  const Refusal refusals[] = {
      {"rank", with_lora("{rank: 0}"), "student.lora.rank"},
      {"alpha", with_lora("{alpha: -1}"), "student.lora.alpha"},
      {"target", with_lora("{targets: [q_porj]}"),
       "student.lora.targets.0: `q_porj` means no layer"},
      {"wide", with_lora("{rank: 4096}"), "student.lora.rank: 4096 is above the smaller side"},
      {"pattern", with_lora("{rank_pattern: [{modules: nothing, rank: 2}]}"),
       "student.lora.rank_pattern.0"},
      {"freeze", with_lora("{}", {"student.freeze=[model.norm.weight]"}), "student.freeze"},
      {"init", {"student.lora={}"}, "student.lora"},
      {"no_adapter",
       {"teacher={kind: base}", "student.init=null", "student.model=" + kModel.string()},
       "teacher.kind"},
  };
  for (const Refusal& refusal : refusals) {
    TinyRun run;
    const std::string message = message_of<InputError>([&] { run.run(refusal.overrides); });
    EXPECT_NE(message.find(refusal.message), std::string::npos) << refusal.name << ": " << message;
    EXPECT_FALSE(std::filesystem::exists(run.in_run("final"))) << refusal.name;
  }
}

}  // namespace
}  // namespace distill::pipeline
