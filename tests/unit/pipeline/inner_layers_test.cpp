// Recipes with losses over inner layers, from the recipe to the final folder.
#include <fstream>
#include <string>

#include <ATen/ops/cat.h>
#include <gtest/gtest.h>

#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/io/safetensors.h>
#include <distill/models/load.h>
#include <distill/pipeline/train_command.h>
#include <distill/teachers/local_teacher.h>

#include "support/model_folders.h"
#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {
namespace {

const std::string kAllKinds =
    "loss=[{kind: counted_kl, temperature: 1.0}, {kind: hidden_mse, weight: 0.1, project: true}, "
    "{kind: hidden_cosine, weight: 0.2, layers: [{student: 1, teacher: 3}]}, "
    "{kind: attention_kl, weight: 0.5}]";

std::string text_of(const fs::path& path) {
  return core::read_file(path, 1 << 24);
}

TEST(InnerLayers, TrainBesideLogits) {
  TinyRun tiny;
  const RunResult result = tiny.run({kAllKinds});
  EXPECT_LT(*result.report.after->kl_to_teacher, *result.report.before->kl_to_teacher);
  const std::string metrics = text_of(tiny.in_run("metrics.jsonl"));
  for (const char* part :
       {"\"forward_kl\":", "\"hidden_mse\":", "\"hidden_cosine\":", "\"attention_kl\":"}) {
    EXPECT_NE(metrics.find(part), std::string::npos) << part;
  }
  // The projection is in the checkpoint, and the student alone in the end.
  const auto state =
      io::SafetensorsFile::open(tiny.in_run("checkpoints/step_00000012/optimizer.safetensors"));
  const io::TensorEntry* projection = state.find("master.loss.hidden_mse.projection");
  ASSERT_NE(projection, nullptr);
  EXPECT_EQ(projection->shape, (std::vector<std::int64_t>{48, 48}));
  const auto final_model = io::SafetensorsFile::open(tiny.in_run("final/model.safetensors"));
  for (const auto& entry : final_model.entries()) {
    EXPECT_EQ(entry.name.find("loss."), std::string::npos) << entry.name;
  }
  EXPECT_EQ(models::load_causal_lm(tiny.in_run("final"), {})->shape().num_parameters,
            result.report.student.parameters);
}

TEST(InnerLayers, ResumeBitForBit) {
  for (const std::string precision : {"precision=fp32", "precision=bf16"}) {
    TinyRun straight;
    straight.run({kAllKinds, precision});
    const std::string expected = core::hash_file(straight.in_run("final/model.safetensors"));
    TinyRun tiny;
    tiny.run_and_stop(13, {kAllKinds, precision});
    tiny.run({kAllKinds, precision}, StartPolicy::kResume);
    EXPECT_EQ(core::hash_file(tiny.in_run("final/model.safetensors")), expected) << precision;
    TinyRun other;
    other.run({kAllKinds, precision, "seed=18"});
    EXPECT_NE(core::hash_file(other.in_run("final/model.safetensors")), expected);
  }
}

TEST(InnerLayers, WhatCannotBeComparedIsRefusedBeforeAnythingIsMade) {
  TinyRun tiny;
  const std::string names[] = {"the student " + kModel.string(), "the teacher " + kModel.string()};
  const auto refused = [&](const std::string& loss, const std::string& expected) {
    try {
      tiny.run({"loss=[{kind: forward_kl}, " + loss + "]"});
      ADD_FAILURE() << "nothing was thrown for " << loss;
    } catch (const Error& error) {
      const std::string what = error.what();  // begins with the place of the loss
      EXPECT_TRUE(what.starts_with("override `loss=[") && what.ends_with("`: " + expected)) << what;
      EXPECT_EQ(exit_code(error), 2);
    }
    EXPECT_FALSE(fs::exists(tiny.folder / "run"));
  };
  refused(
      "{kind: hidden_mse, layers: [{student: 0, teacher: 1}, {student: 2, teacher: 3}]}",
      "loss.1: hidden_mse: `layers.1.student` is 2, but " + names[0] + " has the layers 0 to 1");
  refused(
      "{kind: attention_kl, layers: [{student: 0, teacher: 4}]}",
      "loss.1: attention_kl: `layers.0.teacher` is 4, but " + names[1] + " has the layers 0 to 3");
}

/// A copy of the model with hidden states twice as wide.
void write_wide_model(const fs::path& folder) {
  fs::copy(kModel, folder);
  ::distill::testing::edit_config(folder, "\"hidden_size\": 48", "\"hidden_size\": 96");
  std::vector<io::NamedTensor> tensors;
  for (const auto& [name, tensor] :
       ::distill::testing::read_tensors(folder / "model.safetensors")) {
    const bool first = tensor.dim() == 1 || name.find("o_proj") != std::string::npos ||
                       name.find("down_proj") != std::string::npos;
    tensors.emplace_back(name, at::cat({tensor, tensor}, first ? 0 : 1));
  }
  io::write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
}

TEST(InnerLayers, DifferentWidthsNeedAProjection) {
  TinyRun tiny;
  const fs::path other = tiny.folder / "wide";
  write_wide_model(other);
  const auto message = [&](const std::string& loss) {
    return message_of<InputError>([&] {
      tiny.run({"student={model: " + other.string() + "}", "loss=[" + loss + "]"});
    });
  };
  for (const std::string kind : {"hidden_mse", "hidden_cosine"}) {
    EXPECT_EQ(message("{kind: " + kind + "}"),
              "override `loss=[{kind: " + kind + "}]`: loss.0: " + kind +
                  ": the hidden states of the student " + other.string() +
                  " are 96 wide, those of the teacher " + kModel.string() +
                  " 48; set `project: true` to learn a map between");
    EXPECT_FALSE(fs::exists(tiny.folder / "run"));
  }
}

struct QuietOptions {};
void describe(core::FieldVisitor&, QuietOptions&) {}

/// A teacher that keeps its inner layers to itself, as a cache does.
class QuietTeacher final : public teachers::Teacher {
 public:
  types::TeacherSignal signal(const types::Batch&) override { return std::monostate(); }
  std::string describe() const override { return "quiet"; }
};

TEST(InnerLayers, ATeacherThatShowsNoneIsRefusedBeforeTraining) {
  TinyRun tiny;
  tiny.registries.teachers.add<QuietOptions>(
      "quiet", [](const QuietOptions&, const recipe::TeacherContext&) { return new QuietTeacher; });
  const std::string message = message_of<ConfigError>([&] {
    tiny.run({"teacher={kind: quiet}", "student={model: " + kModel.string() + "}",
              "loss=[{kind: attention_kl}]"});
  });
  EXPECT_EQ(
      message,
      "loss.0: attention_kl: compares inner layers, and the teacher `quiet` shows none; use a "
      "teacher of kind `local`");
  EXPECT_FALSE(fs::exists(tiny.in_run("final")));
}

TEST(InnerLayers, BadPairsAreNamedByTheirPlaceInTheRecipe) {
  TinyRun tiny;
  const std::string message = message_of<ConfigError>([&] {
    tiny.recipe({"loss=[{kind: hidden_mse, layers: [{student: -1, teacher: 0}, {student: 1}]}]"});
  });
  EXPECT_NE(message.find("loss.0.layers.0.student: must not be negative, is -1"), std::string::npos)
      << message;
  EXPECT_NE(message.find("loss.0.layers.1.teacher: missing; it is the teacher's layer"),
            std::string::npos)
      << message;
}

}  // namespace
}  // namespace distill::pipeline::testing
