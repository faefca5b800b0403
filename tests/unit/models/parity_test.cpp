// Tiny random models against what transformers computed (tests/reference/gen_llama.py).
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/equal.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <distill/models/generate.h>
#include <distill/models/load.h>
#include <distill/models/logits.h>
#include <distill/nn/kv_cache.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"
#include "support/tensor_compare.h"

namespace distill::models {
namespace {

using testing::read_tensors;
using testing::relative_error;
using testing::tiny_llama;

std::vector<std::int64_t> to_vector(const at::Tensor& ids) {
  const auto* data = ids.const_data_ptr<std::int64_t>();
  return {data, data + ids.numel()};
}

class TinyLlama : public ::testing::TestWithParam<std::string> {
 protected:
  std::map<std::string, at::Tensor> reference =
      read_tensors(tiny_llama(GetParam()) / "reference.safetensors");

  std::shared_ptr<CausalLm> load(c10::ScalarType dtype = at::kFloat, bool writable = false) const {
    LoadOptions options;
    options.dtype = dtype;
    options.writable = writable;
    return load_causal_lm(tiny_llama(GetParam()), options);
  }
  types::ModelInput packed() const {
    return types::pack({to_vector(reference.at("ids_0")), to_vector(reference.at("ids_1")),
                        to_vector(reference.at("ids_2"))});
  }
  at::Tensor packed_logits() const {
    return at::cat({reference.at("logits_0"), reference.at("logits_1"), reference.at("logits_2")});
  }
};

TEST_P(TinyLlama, ProducesTransformersValues_Logits) {
  const auto output = load()->forward(packed());
  EXPECT_LT(relative_error(models::logits(output, output.hidden), packed_logits()), 2e-5);
}

TEST_P(TinyLlama, ProducesTransformersValues_Gradients) {
  const auto model = load(at::kFloat, /*writable=*/true);
  for (const auto& parameter : model->parameters()) parameter.tensor.requires_grad_(true);
  const auto input = packed();
  const auto output = model->forward(input);
  const at::Tensor logits = models::logits(output, output.hidden);
  at::Tensor loss;
  for (std::size_t s = 1; s < input.segments.size(); ++s) {
    const std::int64_t begin = input.segments[s - 1], count = input.segments[s] - begin - 1;
    if (count == 0) continue;
    const at::Tensor term = at::cross_entropy_loss(logits.narrow(0, begin, count),
                                                   input.input_ids.narrow(0, begin + 1, count));
    loss = loss.defined() ? loss + term : term;
  }
  loss.backward();
  for (const auto& parameter : model->parameters()) {
    ASSERT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
    EXPECT_LT(relative_error(parameter.tensor.grad(), reference.at(parameter.name + ".grad")), 1e-4)
        << parameter.name;
  }
}

TEST_P(TinyLlama, ProducesTransformersValues_GreedyIds) {
  GenerateOptions options;
  options.max_new_tokens = 20;
  EXPECT_EQ(generate(*load(), to_vector(reference.at("ids_1")), options),
            to_vector(reference.at("greedy")));
}

TEST_P(TinyLlama, PackedSequencesAreIndependent) {
  const auto model = load();
  const at::Tensor together = model->forward(packed()).hidden;
  std::int64_t begin = 0;
  for (const char* name : {"ids_0", "ids_1", "ids_2"}) {
    const at::Tensor alone = model->forward(types::single_sequence(reference.at(name))).hidden;
    EXPECT_LT(relative_error(together.narrow(0, begin, alone.size(0)), alone), 1e-6) << name;
    begin += alone.size(0);
  }
}

TEST_P(TinyLlama, CachedEqualsUncached) {
  const auto model = load();
  const at::Tensor ids = reference.at("ids_2");
  const at::Tensor expected = model->forward(types::single_sequence(ids)).hidden.detach();
  const auto cache = model->make_cache();
  std::vector<at::Tensor> pieces;
  std::int64_t begin = 0;
  // A prompt, then single tokens, then several at once, over the cache's growth at 64 and 128.
  for (const std::int64_t count : {30, 1, 1, 50, 1, 67}) {
    pieces.push_back(model->forward_cached(ids.narrow(0, begin, count), *cache).hidden);
    begin += count;
  }
  ASSERT_EQ(begin, ids.size(0));
  EXPECT_EQ(cache->length(), begin);
  EXPECT_LT(relative_error(at::cat(pieces), expected), 2e-6);
}

TEST_P(TinyLlama, CacheNeedsNoGraph) {
  const auto model = load(at::kFloat, true);
  for (const auto& parameter : model->parameters()) parameter.tensor.requires_grad_(true);
  const auto cache = model->make_cache();
  EXPECT_FALSE(model->forward_cached(reference.at("ids_1"), *cache).hidden.requires_grad());
  EXPECT_TRUE(model->forward(packed()).hidden.requires_grad());
}

TEST_P(TinyLlama, Bf16IsClose) {
  const auto model = load(at::kBFloat16);
  const auto output = model->forward(packed());
  EXPECT_EQ(output.hidden.scalar_type(), at::kBFloat16);
  const double error = relative_error(models::logits(output, output.hidden), packed_logits());
  EXPECT_LT(error, 0.03);
  EXPECT_GT(error, 1e-5);  // it did run in bf16
}

TEST_P(TinyLlama, BothFormsOfRotarySettingsAreTheSame) {
  const testing::TempFolder folder;
  testing::copy_model(tiny_llama(GetParam()), folder.path());
  if (GetParam() == "untied") {
    testing::edit_config(
        folder.path(), "\"rope_theta\": 10000.0,\n  \"rope_scaling\": null",
        "\"rope_parameters\": {\"rope_theta\": 10000.0, \"rope_type\": \"default\"}");
  } else {
    const double theta = GetParam() == "tied_llama3" ? 500.0 : 10000.0;
    testing::edit_config(folder.path(), "\"rope_parameters\": {",
                         "\"rope_theta\": " + std::to_string(theta) + ", \"rope_scaling\": {");
    testing::edit_config(folder.path(), "\"rope_type\"", "\"type\"");
  }
  const auto other = load_causal_lm(folder.path(), {});
  EXPECT_TRUE(at::equal(other->forward(packed()).hidden, load()->forward(packed()).hidden));
}

INSTANTIATE_TEST_SUITE_P(Cases, TinyLlama,
                         ::testing::Values("untied", "tied_llama3", "biased_linear"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace distill::models
