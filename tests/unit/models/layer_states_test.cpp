// What a Llama shows of its inner layers, against models cut off after a layer and plain float64.
#include <cmath>
#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/outer.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/load.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"
#include "support/tensor_compare.h"

namespace distill::models {
namespace {

using testing::relative_error;

const std::filesystem::path kFolder =
    std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference/tiny_llama";

types::ModelInput packed() {
  return types::pack({{5, 9, 200, 17, 3, 8}, {44}, {7, 7, 300, 12}});
}

at::Tensor parameter(const CausalLm& model, const std::string& name) {
  for (const auto& parameter : model.parameters()) {
    if (parameter.name == name) return parameter.tensor.detach().to(at::kDouble);
  }
  ADD_FAILURE() << "no parameter " << name;
  return {};
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight) {
  return x * ((x * x).mean(1, true) + 1e-6).rsqrt() * weight;
}

TEST(LayerStates, AreThoseOfAModelThatEndsThere) {
  const auto model = load_causal_lm(kFolder, {});
  const auto output = model->forward_with_layers(packed(), {.hidden = {3, 0, 1}, .attention = {}});
  EXPECT_EQ(output.layers.hidden.size(), 3u);
  EXPECT_TRUE(output.layers.attention.empty());
  const at::Tensor final_norm = parameter(*model, "model.norm.weight");
  for (const auto& [layer, hidden] : output.layers.hidden) {
    LoadOptions first_ones;
    for (std::int64_t i = 0; i <= layer; ++i) first_ones.keep_layers.push_back(i);
    const auto cut = load_causal_lm(kFolder, first_ones);
    EXPECT_LT(relative_error(rms_norm(hidden.to(at::kDouble), final_norm).to(at::kFloat),
                             cut->forward(packed()).hidden),
              1e-6)
        << layer;
  }
}

/// Pairs (i, i + D / 2) of every head turned by position * 10000^(-2i / D).
at::Tensor turned(const at::Tensor& x, const at::Tensor& positions) {
  const std::int64_t half = x.size(2) / 2;
  const at::Tensor exponents = at::arange(half, at::kDouble) * (-1.0 / static_cast<double>(half));
  const at::Tensor angles =
      at::outer(positions.to(at::kDouble), (exponents * std::log(10000.0)).exp()).unsqueeze(1);
  const at::Tensor a = x.narrow(2, 0, half), b = x.narrow(2, half, half);
  return at::cat({a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()}, 2);
}

TEST(LayerStates, QueriesAndKeysAreTakenAfterRotaryPositions) {
  const auto model = load_causal_lm(kFolder, {});
  const types::ModelInput input = packed();
  const auto layers = model->forward_with_layers(input, {.hidden = {1}, .attention = {2}}).layers;
  const types::AttentionInputs& maps = layers.attention.at(2);
  EXPECT_EQ(maps.q.sizes(), at::IntArrayRef({11, 4, 12}));
  EXPECT_EQ(maps.k.sizes(), at::IntArrayRef({11, 2, 12}));
  EXPECT_DOUBLE_EQ(maps.scale, 1 / std::sqrt(12.0));
  const std::string prefix = "model.layers.2.";
  const at::Tensor x = rms_norm(layers.hidden.at(1).to(at::kDouble),
                                parameter(*model, prefix + "input_layernorm.weight"));
  const auto expected = [&](const std::string& name, std::int64_t heads) {
    const at::Tensor weight = parameter(*model, prefix + "self_attn." + name + ".weight");
    return turned(x.matmul(weight.t()).view({11, heads, 12}), input.position_ids).to(at::kFloat);
  };
  EXPECT_LT(relative_error(maps.q, expected("q_proj", 4)), 1e-6);
  EXPECT_LT(relative_error(maps.k, expected("k_proj", 2)), 1e-6);
}

TEST(LayerStates, ChangeNothingAndCarryAGraph) {
  const auto model = load_causal_lm(kFolder, {.writable = true});
  for (const auto& parameter : model->parameters()) parameter.tensor.requires_grad_(true);
  const auto plain = model->forward(packed());
  EXPECT_TRUE(plain.layers.hidden.empty());
  EXPECT_TRUE(plain.layers.attention.empty());
  const auto output = model->forward_with_layers(packed(), {.hidden = {2}, .attention = {0}});
  EXPECT_TRUE(at::equal(plain.hidden, output.hidden));
  (output.layers.hidden.at(2).sum() + output.layers.attention.at(0).q.sum()).backward();
  for (const auto& [name, tensor] : model->parameters()) {
    const bool behind = name.find("layers.3.") != std::string::npos || name == "model.norm.weight";
    EXPECT_EQ(tensor.grad().defined(), !behind) << name;
  }
}

TEST(LayerStates, AttentionOfAWindowIsNotShown) {
  const auto model = load_causal_lm(testing::tiny_model("qwen2_window"), {});
  const auto input = types::pack({{1, 2, 3}});
  EXPECT_NO_THROW(model->forward_with_layers(input, {.hidden = {1}, .attention = {0}}));
  EXPECT_NE(testing::message_of<UnsupportedError>([&] {
              model->forward_with_layers(input, {.hidden = {}, .attention = {0, 1}});
            }).find("layer 1 sees a window of 16 tokens"),
            std::string::npos);
}

TEST(LayerStates, LatentAttentionShowsWholeQueriesAndKeys) {
  const auto model = load_causal_lm(testing::tiny_model("deepseek_v3"), {});
  const auto output =
      model->forward_with_layers(types::pack({{1, 2, 3}}), {.hidden = {}, .attention = {1}});
  const types::AttentionInputs& maps = output.layers.attention.at(1);
  EXPECT_EQ(maps.q.sizes(), at::IntArrayRef({3, 4, 14}));
  EXPECT_EQ(maps.k.sizes(), at::IntArrayRef({3, 4, 14}));
  // 1 / sqrt(14), sharpened for a context four times as long.
  const double sharper = 0.1 * std::log(4.0) + 1.0;
  EXPECT_DOUBLE_EQ(maps.scale, sharper * sharper / std::sqrt(14.0));
}

TEST(LayerStates, RefuseLayersThatAreNotThere) {
  const auto model = load_causal_lm(kFolder, {});
  const auto message = [&](const types::LayerRequest& wanted) {
    return testing::message_of<InputError>([&] { model->forward_with_layers(packed(), wanted); });
  };
  EXPECT_EQ(message({.hidden = {0, 4}, .attention = {}}),
            "layer 4 is wanted, the model has the layers 0 to 3");
  EXPECT_EQ(message({.hidden = {}, .attention = {-1}}),
            "layer -1 is wanted, the model has the layers 0 to 3");
}

}  // namespace
}  // namespace distill::models
