#include <map>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <distill/models/load.h>

#include "support/model_folders.h"

namespace distill::models {
namespace {

using Gradients = std::map<std::string, at::Tensor>;

Gradients gradients(bool checkpointing, at::ScalarType dtype, const std::string& frozen,
                    const types::LayerRequest& wanted) {
  const auto model =
      load_causal_lm(testing::tiny_llama("untied"), {.dtype = dtype, .writable = true});
  model->set_activation_checkpointing(checkpointing);
  for (const auto& [name, tensor] : model->parameters()) {
    tensor.set_requires_grad(name.find(frozen) == std::string::npos);
  }
  const auto input = types::pack({{1, 2, 3, 4, 5}, {6}, {7, 8, 9}});
  const auto output = model->forward_with_layers(input, wanted);
  at::Tensor sum = output.hidden.to(at::kFloat).square().sum();
  for (const auto& [layer, hidden] : output.layers.hidden) {
    sum = sum + hidden.to(at::kFloat).abs().sum();
  }
  for (const auto& [layer, taken] : output.layers.attention) {
    sum = sum + taken.q.to(at::kFloat).abs().sum();
  }
  sum.backward();
  Gradients result;
  for (const auto& [name, tensor] : model->parameters()) result[name] = tensor.grad();
  return result;
}

TEST(ActivationCheckpointing, ChangesNoBitOfAnyGradient) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const std::string frozen : {"nothing", "embed_tokens", "layers.0."}) {
      for (const auto& wanted : {types::LayerRequest{}, types::LayerRequest{{0, 1}, {1}}}) {
        const Gradients kept = gradients(false, dtype, frozen, wanted);
        const Gradients anew = gradients(true, dtype, frozen, wanted);
        for (const auto& [name, gradient] : kept) {
          ASSERT_EQ(gradient.defined(), anew.at(name).defined()) << name;
          if (!gradient.defined()) continue;
          EXPECT_TRUE(at::equal(gradient, anew.at(name))) << name;
        }
      }
    }
  }
}

/// The forward pass that runs again does so inside a backward pass that wants something else.
TEST(ActivationCheckpointing, GivesAGradientThatIsAskedForAlone) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto input = types::pack({{1, 2, 3, 4, 5}, {6}, {7, 8, 9}});
    std::vector<at::Tensor> of_embedding;
    for (const bool checkpointing : {false, true}) {
      const auto model =
          load_causal_lm(testing::tiny_llama("untied"), {.dtype = dtype, .writable = true});
      model->set_activation_checkpointing(checkpointing);
      at::Tensor embedding;
      for (const auto& [name, tensor] : model->parameters()) {
        tensor.set_requires_grad(true);
        if (name == "model.embed_tokens.weight") embedding = tensor;
      }
      const at::Tensor sum = model->forward(input).hidden.to(at::kFloat).square().sum();
      of_embedding.push_back(torch::autograd::grad({sum}, {embedding}).at(0));
    }
    EXPECT_TRUE(at::equal(of_embedding[0], of_embedding[1])) << dtype;
  }
}

}  // namespace
}  // namespace distill::models
