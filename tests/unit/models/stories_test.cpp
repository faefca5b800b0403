// The published stories260K model against the values transformers gave for it.
#include <optional>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include <distill/io/json_value.h>
#include <distill/models/generate.h>
#include <distill/models/load.h>
#include <distill/models/logits.h>

#include "support/model_folders.h"
#include "support/shared_data.h"
#include "support/tensor_compare.h"

namespace distill::models {
namespace {

using testing::relative_error;

class Stories : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto shared = testing::shared_folder();
    if (!shared) GTEST_SKIP() << "no folder of shared models (set DISTILL_SHARED)";
    folder = *shared / "models/stories260K";
    reference = testing::read_tensors(folder / "reference.safetensors");
    const at::Tensor ids = reference.at("input_ids");
    input = types::single_sequence(ids.flatten());
    input.segments = {0, 64, 128};
    input.position_ids = input.position_ids.remainder(64);
  }
  std::shared_ptr<CausalLm> load_trainable(const std::vector<std::int64_t>& layers = {}) const {
    LoadOptions options;
    options.writable = true;
    options.keep_layers = layers;
    auto model = load_causal_lm(folder, options);
    for (const auto& parameter : model->parameters()) parameter.tensor.requires_grad_(true);
    return model;
  }
  void expect_gradients(const CausalLm& model, const std::string& prefix) const {
    for (const auto& parameter : model.parameters()) {
      EXPECT_LT(
          relative_error(parameter.tensor.grad(), reference.at(prefix + parameter.name + ".grad")),
          1e-4)
          << parameter.name;
    }
  }

  std::filesystem::path folder;
  std::map<std::string, at::Tensor> reference;
  types::ModelInput input;
};

TEST_F(Stories, ProducesTransformersValues_LogitsAndGradients) {
  const auto model = load_trainable();
  const auto output = model->forward(input);
  const at::Tensor logits = models::logits(output, output.hidden).view({2, 64, -1});
  EXPECT_LT(relative_error(output.hidden.view({2, 64, -1}), reference.at("hidden_5")), 2e-5);
  EXPECT_LT(relative_error(logits, reference.at("logits")), 2e-5);
  const at::Tensor loss =
      at::cross_entropy_loss(logits.narrow(1, 0, 63).reshape({126, -1}),
                             reference.at("input_ids").narrow(1, 1, 63).reshape({126}));
  EXPECT_NEAR(loss.item<double>(), 1.1074334383010864, 1e-5);
  loss.backward();
  expect_gradients(*model, "");
}

TEST_F(Stories, ProducesTransformersValues_StudentOfThreeLayers) {
  const auto model = load_trainable({0, 2, 4});
  const auto output = model->forward(input);
  const at::Tensor logits = models::logits(output, output.hidden);
  EXPECT_LT(relative_error(logits.view({2, 64, -1}), reference.at("student_logits")), 2e-5);
  const double temperature = 2.0;
  const at::Tensor teacher =
      at::log_softmax(reference.at("logits").view({128, -1}) / temperature, -1);
  const at::Tensor student = at::log_softmax(logits / temperature, -1);
  const at::Tensor loss =
      (teacher.exp() * (teacher - student)).sum() * (temperature * temperature / 128.0);
  EXPECT_NEAR(loss.item<double>(), 5.306175708770752, 1e-4);
  loss.backward();
  expect_gradients(*model, "student.");
}

TEST_F(Stories, ProducesTransformersValues_GreedyStory) {
  const io::JsonValue json = io::read_json_file(folder / "reference.json");
  const io::JsonCursor expected = io::JsonCursor(json, "reference.json").at("greedy_from_bos");
  std::vector<std::int64_t> ids = {1};
  GenerateOptions options;
  options.max_new_tokens = static_cast<std::int64_t>(expected.size()) - 1;
  const auto model = load_causal_lm(folder, {});
  for (const std::int64_t id : generate(*model, {1}, options)) ids.push_back(id);
  ASSERT_EQ(ids.size(), expected.size());
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i], expected.at(i).as_int()) << i;
}

}  // namespace
}  // namespace distill::models
