#include "pipeline/memory.h"

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "tiny_run.h"

namespace distill::pipeline::testing {
namespace {

/// The tiny Llama has a hidden size of 48, heads of 48, keys and values of 24, a feed-forward width
/// of 96 and 384 ids; four micro-batches of one row of 64 tokens make a step.
class MemoryTest : public ::testing::Test {
 protected:
  MemoryEstimate estimate(std::vector<std::string> overrides = {}) {
    overrides.emplace_back("train.batch_size=4");
    const recipe::Recipe recipe = tiny_.recipe(overrides);
    return estimate_memory(recipe, recipe::plan_models(recipe), 1000);
  }
  TinyRun tiny_;
  static constexpr std::uint64_t kLayer = 48 * (48 + 24 + 24 + 48) + 3 * 48 * 96 + 2 * 48;
  static constexpr std::uint64_t kEmbedding = 384 * 48;
  static constexpr std::uint64_t kTrained = 2 * kLayer + 48;
  // Inputs of both products, q, k, v, the attended, both sums, gate, up and their product.
  static constexpr std::uint64_t kValues = 4 * 48 + 2 * 48 + 2 * 24 + 3 * 96;
};

TEST_F(MemoryTest, CountsEveryPartInFp32) {
  const MemoryEstimate memory = estimate();
  EXPECT_EQ(memory.teacher, 0u);  // is stored as it is used
  EXPECT_EQ(memory.teacher_mapped, 4 * (kEmbedding + 4 * kLayer + 48));
  EXPECT_EQ(memory.student, 4 * (kEmbedding + kTrained));
  EXPECT_EQ(memory.master, 0u);
  EXPECT_EQ(memory.moments, 8 * kTrained);
  EXPECT_EQ(memory.gradients, 4 * kTrained);
  EXPECT_EQ(memory.activations, 4 * 64 * 2 * kValues);
  EXPECT_EQ(memory.one_layer, 4 * 64 * kValues);
  EXPECT_EQ(memory.loss, 64u * 384 * 4 * 2);
  EXPECT_GT(memory.evaluation, 0u);
  EXPECT_EQ(estimate({"data.eval=[]", "evaluate.every=0"}).evaluation, 0u);
}

TEST_F(MemoryTest, InBf16TrainedWeightsHaveAMasterAndGradientsASum) {
  const MemoryEstimate memory = estimate({"precision=bf16"});
  EXPECT_EQ(memory.teacher, 2 * (kEmbedding + 4 * kLayer + 48));  // converted from fp32
  EXPECT_EQ(memory.teacher_mapped, 0u);
  EXPECT_EQ(memory.student, 2 * (kEmbedding + kTrained));
  EXPECT_EQ(memory.master, 4 * kTrained);
  EXPECT_EQ(memory.gradients, 6 * kTrained);
  EXPECT_EQ(estimate({"precision=bf16", "train.micro_batch_size=4"}).gradients, 2 * kTrained);
}

TEST_F(MemoryTest, MuonKeepsOneNumberOfAMatrixInsideALayer) {
  constexpr std::uint64_t kNorms = 2 * 2 * 48 + 48;
  EXPECT_EQ(estimate({"train.optimizer={kind: muon}"}).moments, 4 * (kTrained + kNorms));
  const MemoryEstimate all =
      estimate({"train.optimizer={kind: muon}", "student.freeze=[]"});  // AdamW's embedding
  EXPECT_EQ(all.moments, 4 * (kTrained + kNorms) + 8 * kEmbedding);
  const std::vector<std::string> lora = {"student.init=null", "student.model=" + kModel.string(),
                                         "student.freeze=[]", "student.lora={rank: 2}",
                                         "train.optimizer={kind: muon}"};
  const MemoryEstimate adapters = estimate(lora);
  EXPECT_EQ(adapters.moments, adapters.gradients);  // one each, fp32
}

TEST_F(MemoryTest, ParametersLeftToAdamWMustBeThere) {
  const std::string message = message_of<ConfigError>(
      [&] { estimate({"train.optimizer={kind: muon, adamw_for: [model.embed_token.weight]}"}); });
  EXPECT_EQ(
      message,
      "train.optimizer.adamw_for: `model.embed_token.weight` is no parameter of the student (did "
      "you mean `model.embed_tokens.weight`?)");
}

TEST_F(MemoryTest, QuantisedWeightsTakeWhatTheyTake) {
  constexpr std::uint64_t kProjections = 48 * (48 + 24 + 24 + 48) + 3 * 48 * 96;
  constexpr std::uint64_t kOutputs = 48 + 24 + 24 + 48 + 96 + 96 + 48;
  const std::vector<std::string> lora = {"student.init=null", "student.model=" + kModel.string(),
                                         "student.freeze=[]", "student.lora={rank: 2}"};
  auto overrides = lora;
  overrides.emplace_back("student.quantize=int8");
  const MemoryEstimate memory = estimate(overrides);
  EXPECT_EQ(memory.student, 4 * (kProjections + 4 * kOutputs));
  EXPECT_EQ(memory.student_mapped, 4 * (kEmbedding + 4 * (kLayer - kProjections) + 48));
  const MemoryEstimate teacher = estimate({"teacher.quantize=int8"});
  EXPECT_EQ(teacher.teacher, 4 * (kProjections + 4 * kOutputs));
  EXPECT_EQ(teacher.teacher_mapped, 4 * (kEmbedding + 4 * (kLayer - kProjections) + 48));
  EXPECT_EQ(estimate(lora).student_mapped, 4 * (kEmbedding + 4 * kLayer + 48));
}

TEST_F(MemoryTest, CheckpointingKeepsTheStreams) {
  EXPECT_EQ(estimate({"train.activation_checkpointing=true"}).activations,
            4 * 64 * (2 * 2 * 48 + kValues));
}

TEST_F(MemoryTest, ATeacherElsewhereCostsItsHeadAndItsAnswers) {
  const std::vector<std::string> student = {"student.init=null",
                                            "student.model=" + kModel.string()};
  auto elsewhere = student;
  elsewhere.emplace_back("teacher={kind: process, shared: nobody}");
  const MemoryEstimate memory = estimate(elsewhere);
  EXPECT_EQ(memory.teacher_answers, 4 * (kEmbedding + 4 * 64 * 48));
  EXPECT_EQ(memory.teacher + memory.teacher_mapped, 0u);
  const MemoryEstimate local = estimate(student);
  EXPECT_EQ(local.teacher_answers, 0u);
  EXPECT_EQ(memory.loss, local.loss) << "both form two rows of logits";
  EXPECT_EQ(memory.evaluation, local.evaluation);
  EXPECT_EQ(memory.total() - memory.teacher_answers,
            local.total() - local.teacher_mapped - local.signal);
}

TEST_F(MemoryTest, TotalIsAllOfIt) {
  const MemoryEstimate m = estimate();
  EXPECT_EQ(m.total(), m.teacher + m.teacher_mapped + m.student + m.master + m.moments +
                           m.gradients + m.activations + m.one_layer + m.signal + m.loss +
                           m.evaluation + m.library);
}

/// The tiny Llama as its own teacher, with more tokens than the student has.
TEST_F(MemoryTest, ATeacherWithMoreTokensTakesMore) {
  const recipe::Recipe recipe = tiny_.recipe({"train.batch_size=4"});
  auto models = recipe::plan_models(recipe);
  const MemoryEstimate same = estimate_memory(recipe, models, 1000);
  const MemoryEstimate more = estimate_memory(recipe, models, 1000, 2.5);
  EXPECT_EQ(same.signal, 4 * 64 * 48);
  EXPECT_EQ(more.signal, 4 * 160 * 48);
  EXPECT_EQ(more.one_layer, 4 * 160 * kValues);
  EXPECT_EQ(more.loss, (64u + 160) * 384 * 4);
  EXPECT_EQ(more.activations, same.activations) << "only the student is trained";
  EXPECT_EQ(more.certain(), same.certain());
  EXPECT_EQ(estimate_memory(recipe, models, 1000, 0.5).one_layer, same.one_layer)
      << "the student's own";
  models.teacher->vocab_size = 1000;
  EXPECT_EQ(estimate_memory(recipe, models, 1000, 2.5).loss, (64u * 384 + 160 * 1000) * 4)
      << "each forms logits over ids of its own";
}

/// Steps of four micro-batches are read two steps ahead, and one more is taken.
TEST_F(MemoryTest, WhatACacheOrAServerHasAnsweredAheadIsCounted) {
  const recipe::Recipe recipe = tiny_.recipe({"train.batch_size=4"});
  auto models = recipe::plan_models(recipe);
  models.teacher.reset();
  const auto library = [&] { return estimate_memory(recipe, models, 1000).library; };
  const std::uint64_t without = library();
  models.cache.emplace();
  models.cache->segments = 10'000;
  for (const auto& [form, bytes] : {std::pair{io::SignalForm::kTopK, 32 * 16},
                                    {io::SignalForm::kSampled, 34 * 24},
                                    {io::SignalForm::kHidden, 32 * 2}}) {
    models.cache->spec.form = form;
    models.cache->spec.size = 32;
    EXPECT_EQ(library() - without, 48u * 10'000 + 9u * 64 * static_cast<unsigned>(bytes));
  }
}

TEST_F(MemoryTest, WhatCannotFitIsRefusedAndWhatMayNotIsWarnedAbout) {
  MemoryEstimate memory;
  memory.student = memory.moments = std::uint64_t{2} << 30;
  memory.teacher_mapped = std::uint64_t{9} << 30;  // does not count
  memory.activations = std::uint64_t{1} << 30;
  const std::string message = message_of<InputError>(
      [&] { require_memory(memory, at::kCPU, (std::uint64_t{4} << 30) - 1, tiny_.log); });
  EXPECT_EQ(message,
            "training needs at least 4.0 GiB of memory (weights 2.0 GiB, optimizer 2.0 GiB, "
            "gradients 0 B), 4.0 GiB are available; use a smaller student, train less of it "
            "(`student.freeze`, `student.lora`) or a machine with more memory, or --ignore-memory "
            "to try all the "
            "same");
  EXPECT_TRUE(tiny_.log.lines.empty());
  require_memory(memory, at::kCPU, std::uint64_t{4} << 30, tiny_.log);
  EXPECT_TRUE(tiny_.log.has("about 5.0 GiB of memory will be needed, 4.0 GiB are available"));
  tiny_.log.lines.clear();
  require_memory(memory, at::kCPU, std::uint64_t{5} << 30, tiny_.log);
  EXPECT_TRUE(tiny_.log.lines.empty());
}

TEST_F(MemoryTest, AGpuIsNamedAndHoldsWhatIsNotOfTheHost) {
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  const at::Device gpu(at::kCUDA, 0);
  MemoryEstimate memory;
  memory.teacher = memory.moments = 2 * kGiB;
  memory.activations = kGiB;
  memory.library = 9 * kGiB;  // is on the host
  EXPECT_EQ(
      message_of<InputError>([&] { require_memory(memory, gpu, 4 * kGiB - 1, tiny_.log); }),
      "training needs at least 4.0 GiB of memory on cuda:0 (weights 2.0 GiB, optimizer 2.0 GiB, "
      "gradients 0 B), 4.0 GiB are available; use a smaller student, train less of it "
      "(`student.freeze`, `student.lora`), `device: cpu` or a GPU with more memory, or "
      "--ignore-memory to try all "
      "the same");
  require_memory(memory, gpu, 5 * kGiB, tiny_.log);
  EXPECT_TRUE(tiny_.log.lines.empty());
  require_memory(memory, gpu, 5 * kGiB - 1, tiny_.log);
  EXPECT_TRUE(tiny_.log.has("about 5.0 GiB of memory will be needed on cuda:0, 5.0 GiB are"));
}

TEST_F(MemoryTest, OnAGpuAllOfTheTeacherIsAllocated) {
  const recipe::Recipe recipe = tiny_.recipe();
  auto models = recipe::plan_models(recipe);
  models.device = at::Device(at::kCUDA, 0);
  const MemoryEstimate memory = estimate_memory(recipe, models, 1000);
  EXPECT_EQ(memory.teacher, 4 * (kEmbedding + 4 * kLayer + 48));
  EXPECT_EQ(memory.teacher_mapped, 0u);
}

// Experts that no token chooses have no gradient.
TEST_F(MemoryTest, GradientsOfIdleExpertsAreNotCertain) {
  const fs::path model = fs::path(DISTILL_SOURCE_DIR) / "tests/reference/families/qwen3_moe";
  recipe::Recipe recipe = tiny_.recipe({"train.batch_size=4"});
  recipe::PlannedModels models;
  models.student = recipe::read_model_facts(model, nullptr);
  recipe.student.freeze = {};
  const MemoryEstimate memory = estimate_memory(recipe, models, 1000);
  const std::int64_t idle = models.student.num_parameters - models.student.num_active_parameters;
  ASSERT_GT(idle, 0);
  EXPECT_EQ(memory.gradients, 4 * static_cast<std::uint64_t>(models.student.num_parameters));
  EXPECT_EQ(memory.idle_gradients, 4 * static_cast<std::uint64_t>(idle));
  EXPECT_EQ(memory.certain(), memory.student + memory.moments + memory.gradients - 4 * idle);
  EXPECT_EQ(memory.total() - memory.certain(), 4 * idle + memory.activations + memory.one_layer +
                                                   memory.loss + memory.evaluation +
                                                   memory.library);
}

TEST_F(MemoryTest, ARunIsRefusedBeforeItsModelsAreLoaded) {
  RunOptions options;
  options.quiet = true;
  options.available_memory = 1000;
  EXPECT_NE(message_of<InputError>([&] {
              run_recipe(tiny_.recipe(), options, tiny_.log);
            }).find("training needs at least"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(tiny_.in_run("manifest.json")));
}

}  // namespace
}  // namespace distill::pipeline::testing
