#include <distill/recipe/recipe.h>

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/recipe/read.h>
#include <distill/recipe/write.h>
#include "support/temp_folder.h"

namespace distill::recipe {
namespace {

const std::string kRecipe = R"(name: small
student: {init: {from: teacher, keep_layers: 2}, freeze: [model.embed_tokens.weight]}
teacher: {kind: local, model: models/teacher}
data:
  train: [{path: a.jsonl, weight: 2}]
  eval: [{path: b.jsonl}]
  sequence_length: 64
loss:
  - {kind: forward_kl, temperature: 2.0, weight: 0.5}
  - {kind: cross_entropy}
train:
  steps: 40
  batch_size: 4
  micro_batch_size: 2
  schedule: {kind: linear, warmup_steps: 4}
)";

class RecipeTest : public ::testing::Test {
 protected:
  Recipe read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return read_recipe(text, "r.yaml", overrides, registries_);
  }
  std::string refusal(const std::vector<std::string>& overrides,
                      const std::string& text = kRecipe) {
    return testing::message_of<ConfigError>([&] { read(text, overrides); });
  }
  Registries registries_ = builtin_registries();
};

TEST_F(RecipeTest, ReadsEveryPart) {
  const Recipe r = read(kRecipe, {"seed=3", "precision=bf16"});
  EXPECT_EQ(r.name, "small");
  EXPECT_EQ(r.output, "runs/small");
  EXPECT_EQ(r.seed, 3);
  EXPECT_EQ(r.precision, Precision::kBf16);
  EXPECT_EQ(r.device, Device::kAuto);
  EXPECT_EQ(r.student.init->from, InitFrom::kTeacher);
  EXPECT_EQ(std::get<0>(*r.student.init->keep_layers), 2);
  EXPECT_EQ(r.student.freeze, std::vector<std::string>{"model.embed_tokens.weight"});
  EXPECT_EQ(r.teacher.options<LocalTeacherOptions>()->model, "models/teacher");
  EXPECT_EQ(r.data.train.at(0).weight, 2.0);
  ASSERT_EQ(r.loss.items().size(), 2u);
  EXPECT_EQ(r.loss.items()[1].kind(), "cross_entropy");
  EXPECT_EQ(r.train.steps, 40);
  EXPECT_FALSE(r.train.epochs.has_value());
  EXPECT_EQ(r.train.optimizer.kind(), "adamw");
  EXPECT_EQ(r.train.schedule.kind, train::ScheduleKind::kLinear);
  EXPECT_EQ(r.checkpoint.every, 200);
  EXPECT_TRUE(r.evaluate.at_start);
}

TEST_F(RecipeTest, WritesWhatItReads) {
  const std::vector<std::vector<std::string>> variants = {
      {},
      {"student={model: m/x, freeze: [\"a*\"]}", "train.steps=null", "train.epochs=1.5"},
      {"student.init.keep_layers=[0, 1, 5]", "output=\"odd: name\"", "train.gradient_clip=0.1"},
      {"student.init.keep_layers=null", "train.optimizer.betas=[0.8, 0.99]", "data.eval=[]"},
      {"teacher={kind: none}", "student={model: m}", "loss=[{kind: cross_entropy}]"},
  };
  for (const auto& overrides : variants) {
    const std::string text = write_recipe(read(kRecipe, overrides));
    EXPECT_EQ(write_recipe(read(text)), text);
    EXPECT_TRUE(recipe_differences(text, "old", write_recipe(read(text))).empty());
  }
}

TEST_F(RecipeTest, NamesWhatDiffers) {
  const std::string before = write_recipe(read(kRecipe));
  const std::string after =
      write_recipe(read(kRecipe, {"train.steps=50", "loss.0.temperature=1", "student.freeze=[]"}));
  EXPECT_EQ(recipe_differences(before, "old", after),
            (std::vector<std::string>{"student.freeze: [model.embed_tokens.weight] -> []",
                                      "loss.0.temperature: 2.0 -> 1.0", "train.steps: 40 -> 50"}));
}

struct Bad {
  std::vector<std::string> overrides;
  std::string message;
};

TEST_F(RecipeTest, PartsMustFitTogether) {
  const std::vector<Bad> cases = {
      {{"train.steps=null"}, "train: needs `steps` or `epochs`"},
      {{"train.epochs=1"}, "train.epochs: is given beside `steps`"},
      {{"train.steps=0"}, "train.steps: must be at least 1, it is 0"},
      {{"train.steps=9223372036854775807"}, "train.steps: must be at most 1099511627776, it is "},
      {{"train.batch_size=9223372036854775806"}, "train.batch_size: must be at most 4194304"},
      {{"train.micro_batch_size=4194305"}, "train.micro_batch_size: must be at most 4194304"},
      {{"train.steps=null", "train.epochs=0"}, "train.epochs: must be above 0"},
      {{"train.steps=4"}, "train.schedule.warmup_steps: must be below `train.steps` (4), it is 4"},
      {{"train.batch_size=3"},
       "train.batch_size: must be a multiple of `micro_batch_size` (2), it is 3"},
      {{"train.batch_size=0"}, "train.batch_size: must be at least 1"},
      {{"train.micro_batch_size=0"}, "train.micro_batch_size: must be at least 1"},
      {{"train.gradient_clip=-1"}, "train.gradient_clip: must not be negative"},
      {{"train.optimizer.lr=-1"}, "train.optimizer.lr: must be above 0"},
      {{"train.optimizer.betas=[0.9]"}, "train.optimizer.betas: must hold two numbers"},
      {{"train.optimizer.kind=adam"},
       "train.optimizer.kind: `adam` given, expected one of adamw, muon (did you mean `adamw`?)"},
      {{"student={}"}, "student: needs `model`"},
      {{"student.model=m"},
       "student.model: is given, and `init` takes the student from the teacher"},
      {{"student.init.from=model"},
       "student.init.from: is `model`, and `student.model` is not given"},
      {{"student.init.keep_layers=0"}, "student.init.keep_layers: must be at least 1"},
      {{"student.init.keep_layers=[]"}, "student.init.keep_layers: must name at least one layer"},
      {{"student.init.keep_layers=[1, 1]"}, "student.init.keep_layers: layer 1 is listed twice"},
      {{"student.init.keep_layers=[-1]"}, "student.init.keep_layers: layers count from 0"},
      {{"student.freeze=[\"\"]"}, "student.freeze.0: must be the name of a parameter"},
      {{"student.adapters={rank: 4}"},
       "student.adapters: unknown key, expected one of model, init, freeze, lora"},
      {{"teacher={kind: none}"},
       "student.init.from: is `teacher`, which needs `teacher.kind: local`, or `cache` with"},
      {{"teacher={kind: none}", "student={model: m}"},
       "loss.0: `forward_kl` compares with a teacher"},
      {{"teacher={kind: local}"},
       "teacher.model: missing; it is Hugging Face folder of the teacher"},
      {{"teacher.kind=sever"},
       "teacher.kind: `sever` given, expected one of base, cache, local, none"},
      {{"teacher.model=\"\""}, "teacher.model: must name a folder"},
      {{"loss=[]"}, "loss: must hold at least one term"},
      {{"loss.0.kind=forward_lk"}, "(did you mean `forward_kl`?)"},
      {{"loss.0.temperatur=1"}, "loss.0.temperatur: unknown key (did you mean `temperature`?)"},
      {{"data.train=[]"}, "data.train: must name at least one file"},
      {{"data={}"}, "data.train: missing"},
      {{"data.sequence_length=0"}, "data.sequence_length: must"},
      {{"name=a/b"}, "name: must be 1 to 100 printable characters without `/`"},
      {{"name=.."}, "name: must be"},
      {{"name=\"\""}, "name: must be"},
      {{"seed=-1"}, "seed: must not be negative"},
      {{"precision=fp16"}, "precision: `fp16` given, expected one of fp32, bf16"},
      {{"device=gpu"}, "device: `gpu` given, expected one of auto, cpu, cuda"},
      {{"checkpoint.keep=0"}, "checkpoint.keep: must be at least 1"},
      {{"evaluate.every=5", "data.eval=[]"}, "evaluate.every: needs files in `data.eval`"},
  };
  for (const auto& bad : cases) {
    const std::string message = refusal(bad.overrides);
    EXPECT_NE(message.find(bad.message), std::string::npos)
        << bad.overrides[0] << " gave " << message;
  }
}

TEST_F(RecipeTest, EmptyRecipeListsWhatIsMissing) {
  const std::string message = refusal({}, "");
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n') + 1, 6) << message;
  for (const char* key : {"name", "student", "teacher", "data", "loss", "train"}) {
    EXPECT_NE(message.find(std::string("r.yaml:1: ") + key + ": missing; it is "),
              std::string::npos);
  }
}

TEST_F(RecipeTest, FilesMustBeThere) {
  EXPECT_EQ(
      testing::message_of<InputError>([&] { read_recipe_file("no/such.yaml", {}, registries_); }),
      "no/such.yaml: no such file");
}

TEST_F(RecipeTest, UsersAddKinds) {
  struct Nothing : losses::Loss {
    std::string name() const override { return "nothing"; }
    bool needs_teacher() const override { return false; }
    types::LossValue operator()(const losses::LossInput&) const override { return {}; }
  };
  registries_.losses.add<NoTeacherOptions>("nothing",
                                           [](const NoTeacherOptions&) { return new Nothing; });
  const Recipe r = read(kRecipe, {"loss=[{kind: nothing}]"});
  EXPECT_EQ(r.loss.items().front().build()->name(), "nothing");
}

// Every recipe in the tree is read, found recursively, and says how to run it.
TEST_F(RecipeTest, EveryConfigLoads) {
  const std::filesystem::path root = std::filesystem::path(DISTILL_SOURCE_DIR) / "configs";
  int found = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".yaml") continue;
    ++found;
    const std::string relative =
        std::filesystem::relative(entry.path(), DISTILL_SOURCE_DIR).string();
    const std::string text = core::read_file(entry.path(), 1 << 20);
    EXPECT_NO_THROW(read_any_recipe(text, relative, {}, registries_)) << relative;
    const std::string first_line = text.substr(0, text.find('\n'));
    EXPECT_TRUE(first_line.starts_with("# ")) << relative;
    EXPECT_NE(first_line.find("distill_train " + relative), std::string::npos) << relative;
  }
  EXPECT_GE(found, 1);
}

TEST_F(RecipeTest, ReferencePageIsUpToDate) {
  const auto path = std::filesystem::path(DISTILL_SOURCE_DIR) / "docs" / "recipe.md";
  EXPECT_EQ(core::read_file(path, 1 << 20), recipe_reference(registries_))
      << "run: build/dev/distill_train --reference > docs/recipe.md";
}

TEST_F(RecipeTest, KeysThatSayNothingAboutTheResultAreTakenFromTheOtherRecipe) {
  const std::string student = "student={model: m}";
  const std::string server = "teacher={kind: server, url: \"http://a/v1\", model: m}";
  const Recipe before = read(kRecipe, {student, server, "train.steps=50"});
  const Recipe now =
      read(kRecipe, {student, server, "teacher.url=http://b/v1", "teacher.retries=3",
                     "teacher.parallel=2", "teacher.timeout_seconds=7", "teacher.check_seconds=7",
                     "teacher.max_drift=0.1", "teacher.api_key_env=KEY"});
  const std::string taken = write_recipe_as_now(before, now);
  const auto differences = recipe_differences(taken, "before", write_recipe(now));
  ASSERT_EQ(differences.size(), 1u) << core::join(differences);
  EXPECT_TRUE(differences[0].starts_with("train.steps: 50 -> ")) << differences[0];
  EXPECT_EQ(write_recipe_as_now(now, now), write_recipe(now));
  const Recipe local = read(kRecipe, {"train.steps=50"});
  EXPECT_EQ(write_recipe_as_now(local, now), write_recipe(local)) << "another kind has other keys";
}

}  // namespace
}  // namespace distill::recipe
