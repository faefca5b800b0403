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

TEST_F(MemoryTest, CheckpointingKeepsTheStreams) {
  EXPECT_EQ(estimate({"train.activation_checkpointing=true"}).activations,
            4 * 64 * (2 * 2 * 48 + kValues));
}

TEST_F(MemoryTest, TotalIsAllOfIt) {
  const MemoryEstimate m = estimate();
  EXPECT_EQ(m.total(), m.teacher + m.teacher_mapped + m.student + m.master + m.moments +
                           m.gradients + m.activations + m.one_layer + m.loss + m.evaluation +
                           m.library);
}

TEST_F(MemoryTest, WhatCannotFitIsRefusedAndWhatMayNotIsWarnedAbout) {
  MemoryEstimate memory;
  memory.student = memory.moments = std::uint64_t{2} << 30;
  memory.teacher_mapped = std::uint64_t{9} << 30;  // does not count
  memory.activations = std::uint64_t{1} << 30;
  const std::string message = message_of<InputError>(
      [&] { require_memory(memory, (std::uint64_t{4} << 30) - 1, tiny_.log); });
  EXPECT_EQ(message,
            "training needs at least 4.0 GiB of memory (weights 2.0 GiB, optimizer 2.0 GiB, "
            "gradients 0 B), 4.0 GiB are available; use a smaller student, freeze more of it "
            "(`student.freeze`) or a machine with more memory, or --ignore-memory to try all the "
            "same");
  EXPECT_TRUE(tiny_.log.lines.empty());
  require_memory(memory, std::uint64_t{4} << 30, tiny_.log);
  EXPECT_TRUE(tiny_.log.has("about 5.0 GiB of memory will be needed, 4.0 GiB are available"));
  tiny_.log.lines.clear();
  require_memory(memory, std::uint64_t{5} << 30, tiny_.log);
  EXPECT_TRUE(tiny_.log.lines.empty());
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
