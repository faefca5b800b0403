// Runs that train adapters beside a quantised base.
#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/dist/communicator.h>
#include <distill/eval/evaluate.h>
#include <distill/lora/peft.h>
#include <distill/text/tokenizer.h>

#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline {
namespace {

using testing::kModel;
using testing::message_of;
using testing::read;
using testing::TinyRun;

using Overrides = std::vector<std::string>;

/// Text that the tiny model has not learned by heart.
Overrides overrides(const TinyRun& run, const std::string& format, const std::string& lora,
                    const Overrides& more = {}) {
  const auto file = run.folder / "domain.jsonl";
  std::ofstream rows(file);
  for (int i = 0; i < 24; ++i) {
    rows << R"({"text": "ruofl skcas )" << i % 7 << R"( ynam llim eht"})"
         << "\n";
  }
  Overrides all = {"student.init=null",
                   "student.model=" + kModel.string(),
                   "student.freeze=[]",
                   "student.lora=" + lora,
                   "student.quantize=" + format,
                   "data.train.0.path=" + file.string(),
                   "data.eval.0.path=" + file.string(),
                   "loss=[{kind: cross_entropy}, {kind: counted_kl, weight: 0.01}]",
                   "train.optimizer.lr=0.02",
                   "train.steps=12"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// On the rows that a tiny run is measured on.
double perplexity_of(models::CausalLm& model) {
  const auto tokenizer = text::load_tokenizer(kModel);
  distill::testing::RecordingLogger log;
  data::DataOptions options;
  options.sequence_length = 64;
  options.min_packing_use = 0;
  const auto rows = data::Dataset::load({{(kModel / "eval.jsonl").string(), 1.0}}, options,
                                        *tokenizer, nullptr, log);
  const auto ranks = dist::make_single();
  return eval::evaluate(model, nullptr, *rows, *ranks, {}).perplexity;
}

TEST(QuantizedRun, LearnsAndSaysWhatTheBaseLost) {
  for (const std::string format : {"int8", "fp8", "nf4"}) {
    for (const std::string precision : {"fp32", "bf16"}) {
      TinyRun run;
      const Report report =
          run.run(overrides(run, format, "{rank: 4}", {"precision=" + precision})).report;
      EXPECT_LT(report.after->perplexity, 0.8 * report.before->perplexity) << format << precision;
      ASSERT_TRUE(report.quantization.has_value());
      EXPECT_EQ(ops::name_of(report.quantization->format), format);
      EXPECT_LT(report.quantization->bytes, report.quantization->dense_bytes);
      EXPECT_GT(report.quantization->error, 0);
      EXPECT_GE(report.quantization->worst_error, report.quantization->error);
      EXPECT_TRUE(run.log.has("weights in " + format));
      const Report again = read_report(run.in_run("report.json"));
      EXPECT_EQ(again.quantization->worst, report.quantization->worst);
      EXPECT_EQ(again.quantization->format, report.quantization->format);
      EXPECT_EQ(again.quantization->bytes, report.quantization->bytes);
      EXPECT_FALSE(lora::load_with_adapter(kModel, run.in_run("final"), {})->adapters().empty());
    }
  }
}

TEST(QuantizedRun, StoppedItGoesOnBitForBit) {
  for (const std::string format : {"int8", "fp8", "nf4"}) {
    for (const std::string precision : {"fp32", "bf16"}) {
      const Overrides more = {"precision=" + precision, "train.steps=6", "checkpoint.every=2"};
      TinyRun whole, stopped;
      whole.run(overrides(whole, format, "{rank: 4, dropout: 0.2}", more));
      const Overrides same = overrides(stopped, format, "{rank: 4, dropout: 0.2}", more);
      ASSERT_FALSE(stopped.run_and_stop(7, same).empty());
      stopped.run(same);
      EXPECT_EQ(read(stopped.in_run("final/adapter_model.safetensors")),
                read(whole.in_run("final/adapter_model.safetensors")))
          << format << " in " << precision;
    }
  }
}

TEST(QuantizedRun, ItsBaseIsATeacherToo) {
  TinyRun run;
  const Report report =
      run.run(overrides(run, "nf4", "{rank: 4, dora: true}",
                        {"teacher={kind: base}", "train.activation_checkpointing=true"}))
          .report;
  EXPECT_NEAR(*report.before->kl_to_teacher, 0, 1e-6);
  EXPECT_GT(*report.after->kl_to_teacher, 0.01);
  EXPECT_LT(report.after->perplexity, report.before->perplexity);
}

TEST(QuantizedRun, ATeacherInFewBitsIsThatOfItsWeights) {
  TinyRun dense, quantized;
  const Report with = quantized.run({"teacher.quantize=nf4"}).report;
  const Report without = dense.run({}).report;
  ASSERT_TRUE(with.teacher && without.teacher);
  EXPECT_LT(with.teacher->bytes, without.teacher->bytes);
  EXPECT_EQ(with.teacher->parameters, without.teacher->parameters);
  EXPECT_FALSE(with.quantization.has_value());  // of the student
  EXPECT_TRUE(quantized.log.has("weights in nf4"));
  EXPECT_TRUE(quantized.log.has("projections in nf4"));
  EXPECT_FALSE(dense.log.has("nf4"));
  // What the evaluation compares with is the model that a quantised load gives.
  const auto teacher = models::load_causal_lm(kModel, {.quantize = ops::WeightFormat::kNf4});
  const auto loaded = models::load_causal_lm(kModel, {});
  EXPECT_NE(*with.before->teacher_perplexity, *without.before->teacher_perplexity);
  EXPECT_NEAR(*with.before->teacher_perplexity, perplexity_of(*teacher), 1e-6);
  EXPECT_NEAR(*without.before->teacher_perplexity, perplexity_of(*loaded), 1e-6);
}

TEST(QuantizedRun, RefusesWhatCannotBe) {
  TinyRun run;
  const auto refusal = [&](const Overrides& recipe) {
    return message_of<InputError>([&] { run.run(recipe); });
  };
  EXPECT_NE(refusal({"student.quantize=nf4"}).find("student.quantize: needs `student.lora`"),
            std::string::npos);
  EXPECT_NE(refusal(overrides(run, "int8", "{init: pissa}")).find("student.lora.init: is `pissa`"),
            std::string::npos);
  EXPECT_NE(refusal(overrides(run, "int4", "{}")).find("int8, fp8, nf4"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(run.in_run("final")));
}

}  // namespace
}  // namespace distill::pipeline
