// The quickstart's real teacher against transformers. scripts/prepare_quickstart fetches it.
#include <string>

#include <ATen/TensorIndexing.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/log_softmax.h>
#include <c10/core/InferenceMode.h>

#include <distill/io/safetensors.h>
#include <distill/models/generate.h>
#include <distill/models/load.h>
#include <distill/models/logits.h>
#include <distill/text/tokenizer.h>
#include <distill/types/model_output.h>

#include "integration/tiny_run.h"

namespace distill::testing {
namespace {

class SmolLm2 : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(DISTILL_SOURCE_DIR) / "models/SmolLM2-135M-Instruct";
    if (!std::filesystem::exists(folder_ / "model.safetensors")) {
      GTEST_SKIP() << folder_ << " is not there; scripts/prepare_quickstart fetches it";
    }
  }
  at::Tensor reference(const std::string& name) const { return file_.tensor(*file_.find(name)); }

  std::filesystem::path folder_;
  io::SafetensorsFile file_ = io::SafetensorsFile::open(std::filesystem::path(DISTILL_SOURCE_DIR) /
                                                        "tests/reference/smollm2.safetensors");
};

TEST_F(SmolLm2, ProducesTransformersIds) {
  const auto tokenizer = text::load_tokenizer(folder_);
  const auto ids = tokenizer->encode(file_.metadata().at("text"), false);
  const auto expected = reference("input_ids");
  ASSERT_EQ(static_cast<std::int64_t>(ids.size()), expected.numel());
  for (std::size_t i = 0; i < ids.size(); ++i)
    ASSERT_EQ(ids[i], expected.data_ptr<std::int64_t>()[i]) << i;
}

TEST_F(SmolLm2, ProducesTransformersLogits) {
  const c10::InferenceMode no_graph;
  const auto model = models::load_causal_lm(folder_, {});
  const auto ids = reference("input_ids");
  const auto output = model->forward(types::single_sequence(ids));
  const auto logits = models::logits(output, output.hidden);
  const auto expected = reference("logits");
  const auto rows = logits.index_select(0, reference("rows"));
  for (std::int64_t row = 0; row < rows.size(0); ++row) {
    EXPECT_LT(((rows[row] - expected[row]).norm() / expected[row].norm()).item<double>(), 2e-5)
        << row;
  }
  const auto log_likelihood = at::log_softmax(logits.slice(0, 0, -1), -1)
                                  .gather(1, ids.slice(0, 1).unsqueeze(1))
                                  .squeeze(1);
  EXPECT_LT((log_likelihood - reference("log_likelihood")).abs().max().item<double>(), 2e-3);
}

TEST_F(SmolLm2, ProducesTransformersGreedyText) {
  const auto model = models::load_causal_lm(folder_, {});
  const auto ids = reference("input_ids");
  const auto* data = ids.data_ptr<std::int64_t>();
  const auto expected = reference("greedy_from_40");
  const auto generated = models::generate(*model, std::vector<std::int64_t>(data, data + 40),
                                          {.max_new_tokens = expected.numel()});
  ASSERT_EQ(static_cast<std::int64_t>(generated.size()), expected.numel());
  for (std::size_t i = 0; i < generated.size(); ++i) {
    ASSERT_EQ(generated[i], expected.data_ptr<std::int64_t>()[i]) << i;
  }
}

}  // namespace
}  // namespace distill::testing
