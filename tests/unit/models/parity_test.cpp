// Tiny random models of every family against what transformers computed
// (tests/reference/gen_llama.py and gen_families.py).
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
using testing::tiny_model;

std::vector<std::int64_t> to_vector(const at::Tensor& ids) {
  const auto* data = ids.const_data_ptr<std::int64_t>();
  return {data, data + ids.numel()};
}

class TinyModel : public ::testing::TestWithParam<std::string> {
 protected:
  std::map<std::string, at::Tensor> reference =
      read_tensors(tiny_model(GetParam()) / "reference.safetensors");

  std::shared_ptr<CausalLm> load(c10::ScalarType dtype = at::kFloat, bool writable = false) const {
    LoadOptions options;
    options.dtype = dtype;
    options.writable = writable;
    return load_causal_lm(tiny_model(GetParam()), options);
  }
  types::ModelInput packed() const {
    return types::pack({to_vector(reference.at("ids_0")), to_vector(reference.at("ids_1")),
                        to_vector(reference.at("ids_2"))});
  }
  at::Tensor packed_logits() const {
    return at::cat({reference.at("logits_0"), reference.at("logits_1"), reference.at("logits_2")});
  }
};

TEST_P(TinyModel, ProducesTransformersValues_Logits) {
  const auto model = load();
  const auto output = model->forward(packed());
  EXPECT_LT(relative_error(models::logits(output, output.hidden), packed_logits()), 2e-5);
  for (const char* number : {"0", "1", "2"}) {
    const at::Tensor ids = reference.at(std::string("ids_") + number);
    const auto alone = model->forward(types::single_sequence(ids));
    EXPECT_LT(relative_error(models::logits(alone, alone.hidden),
                             reference.at(std::string("logits_") + number)),
              2e-5)
        << ids.numel() << " ids";
  }
}

TEST_P(TinyModel, ProducesTransformersValues_Gradients) {
  const auto model = load(at::kFloat, /*writable=*/true);
  const auto parameters = model->parameters();
  for (const auto& parameter : parameters) parameter.tensor.requires_grad_(true);
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
  std::size_t expected = 0;
  for (const auto& [name, tensor] : reference) expected += name.ends_with(".grad") ? 1 : 0;
  EXPECT_EQ(parameters.size(), expected);
  for (const auto& parameter : parameters) {
    const at::Tensor& wanted = reference.at(parameter.name + ".grad");
    if (!parameter.tensor.grad().defined()) {
      // An expert that no token passed.
      EXPECT_NE(parameter.name.find(".experts."), std::string::npos) << parameter.name;
      EXPECT_EQ(wanted.abs().sum().item<double>(), 0.0) << parameter.name;
      continue;
    }
    EXPECT_LT(relative_error(parameter.tensor.grad(), wanted), 1e-4) << parameter.name;
  }
}

TEST_P(TinyModel, ProducesTransformersValues_GreedyIds) {
  ASSERT_EQ(reference.at("greedy").numel(), 64);
  GenerateOptions options;
  options.max_new_tokens = 64;
  EXPECT_EQ(generate(*load(), to_vector(reference.at("ids_1")), options),
            to_vector(reference.at("greedy")));
}

TEST_P(TinyModel, PackedSequencesAreIndependent) {
  const auto model = load();
  const at::Tensor together = model->forward(packed()).hidden;
  std::int64_t begin = 0;
  for (const char* name : {"ids_0", "ids_1", "ids_2"}) {
    const at::Tensor alone = model->forward(types::single_sequence(reference.at(name))).hidden;
    EXPECT_LT(relative_error(together.narrow(0, begin, alone.size(0)), alone), 1e-6) << name;
    begin += alone.size(0);
  }
}

TEST_P(TinyModel, CachedEqualsUncached) {
  const auto model = load();
  // Cached keys keep the dynamic frequencies that they came with, so that longer sequences differ.
  const bool dynamic = GetParam() == "llama_dynamic";
  const at::Tensor ids = reference.at("ids_2").narrow(0, 0, dynamic ? 64 : 150);
  const at::Tensor expected = model->forward(types::single_sequence(ids)).hidden.detach();
  const auto cache = model->make_cache();
  std::vector<at::Tensor> pieces;
  std::int64_t begin = 0;
  // A prompt, then single tokens, then several at once, over the cache's growth at 64 and 128.
  const std::vector<std::int64_t> counts = dynamic ? std::vector<std::int64_t>{30, 1, 1, 32}
                                                   : std::vector<std::int64_t>{30, 1, 1, 50, 1, 67};
  for (const std::int64_t count : counts) {
    pieces.push_back(model->forward_cached(ids.narrow(0, begin, count), *cache).hidden);
    begin += count;
  }
  ASSERT_EQ(begin, ids.size(0));
  EXPECT_EQ(cache->length(), begin);
  EXPECT_LT(relative_error(at::cat(pieces), expected), 2e-6);
}

TEST_P(TinyModel, CacheNeedsNoGraph) {
  const auto model = load(at::kFloat, true);
  for (const auto& parameter : model->parameters()) parameter.tensor.requires_grad_(true);
  const auto cache = model->make_cache();
  EXPECT_FALSE(model->forward_cached(reference.at("ids_1"), *cache).hidden.requires_grad());
  EXPECT_TRUE(model->forward(packed()).hidden.requires_grad());
}

TEST_P(TinyModel, Bf16IsClose) {
  const auto model = load(at::kBFloat16);
  const auto output = model->forward(packed());
  EXPECT_EQ(output.hidden.scalar_type(), at::kBFloat16);
  // The middle row: where two experts score nearly the same, rounding sends a token to another one,
  // as it does in transformers.
  const at::Tensor wanted = packed_logits();
  const at::Tensor distance = models::logits(output, output.hidden) - wanted;
  const double error = (distance.norm(2, 1) / wanted.norm(2, 1)).median().item<double>();
  EXPECT_LT(error, 0.03);
  EXPECT_GT(error, 1e-5);  // it did run in bf16
}

/// The other form of the rotary settings: published or as transformers 5 writes it.
std::string with_other_rotary_form(std::string config) {
  const std::string key = "\"rope_theta\": ";
  const auto begin = config.find(key), end = config.find_first_of(",\n", begin);
  const std::string theta = config.substr(begin, end - begin);
  if (config.find("\"rope_parameters\": {") != std::string::npos) {
    config = testing::replaced(config, "\"rope_parameters\": {", theta + ", \"rope_scaling\": {");
    return testing::replaced(config, "\"rope_type\"", "\"type\"");
  }
  config = testing::replaced(config, theta + ",", "");
  if (config.find("\"rope_scaling\": null") != std::string::npos) {
    return testing::replaced(config, "\"rope_scaling\": null",
                             "\"rope_parameters\": {" + theta + ", \"rope_type\": \"default\"}");
  }
  config = testing::replaced(config, "\"rope_scaling\": {", "\"rope_parameters\": {" + theta + ",");
  return testing::replaced(config, "\"type\"", "\"rope_type\"");
}

TEST_P(TinyModel, BothFormsOfRotarySettingsAreTheSame) {
  const testing::TempFolder folder;
  testing::copy_model(tiny_model(GetParam()), folder.path());
  const std::string config = core::read_file(folder / "config.json", 1 << 20);
  testing::write_text(folder / "config.json", with_other_rotary_form(config));
  const auto other = load_causal_lm(folder.path(), {});
  EXPECT_TRUE(at::equal(other->forward(packed()).hidden, load()->forward(packed()).hidden));
}

const std::vector<std::string> kCases = {
    "untied",       "tied_llama3",    "biased_linear", "llama_dynamic", "llama_yarn",
    "mistral_full", "mistral_window", "qwen2",         "qwen2_window",  "qwen3",
    "qwen3_biased", "qwen3_moe",      "qwen3_moe_new", "deepseek_v2",   "deepseek_v2_groups",
    "deepseek_v3",  "deepseek_v3_new"};

INSTANTIATE_TEST_SUITE_P(Cases, TinyModel, ::testing::ValuesIn(kCases),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace distill::models
