// The start of a student of some layers, against a least-squares solver in float64.
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_lstsq.h>
#include <ATen/ops/median.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/fit_layers.h>
#include <distill/models/layer_steps.h>
#include <distill/models/load.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"
#include "support/tensor_compare.h"

namespace distill::models {
namespace {

using testing::message_of;
using testing::relative_error;
using testing::tiny_model;

const std::filesystem::path kFolder =
    std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference/tiny_llama";

types::ModelInput texts(std::int64_t count = 12) {
  std::vector<std::vector<std::int64_t>> rows;
  for (std::int64_t r = 0; r < count; ++r) {
    rows.emplace_back();
    for (std::int64_t i = 0; i < 20 + r % 50; ++i)
      rows.back().push_back((r * 37 + i * i * 11 + i) % 90);
  }
  return types::pack(rows);
}

std::shared_ptr<CausalLm> load(const std::filesystem::path& folder, std::vector<std::int64_t> kept,
                               at::ScalarType dtype = at::kFloat) {
  return load_causal_lm(folder, {.dtype = dtype, .writable = true, .keep_layers = kept});
}

std::map<std::string, at::Tensor> copies(const CausalLm& model) {
  std::map<std::string, at::Tensor> all;
  for (const auto& parameter : model.parameters()) all[parameter.name] = parameter.tensor.clone();
  return all;
}

/// What the first layer's last projection reads and should give, float64.
struct FirstLayer {
  at::Tensor inner, residual, weight;
};

FirstLayer first_layer(CausalLm& model, const types::ModelInput& input) {
  auto& steps = dynamic_cast<LayerSteps&>(model);
  const auto last = steps.last_projection(0, steps.first_states(input), input);
  return {last->inner.to(at::kDouble), last->residual.to(at::kDouble),
          last->projection->weight.to(at::kDouble)};
}

/// min |weights (inner x - missing)|^2 + ridge mean(diagonal) |x|^2, as one stacked system.
at::Tensor ridge_solution(const FirstLayer& layer, const at::Tensor& target, double ridge) {
  const at::Tensor squares = target.square().mean(1, true);
  const at::Tensor weights = squares.clamp_min(0.1 * at::median(squares).item<double>()).rsqrt();
  const at::Tensor a = layer.inner * weights;
  const at::Tensor missing = target - layer.residual - layer.inner.mm(layer.weight.t());
  const double lambda = ridge * a.square().sum().item<double>() / static_cast<double>(a.size(1));
  const auto inner = a.size(1);
  const at::Tensor stacked = at::cat({a, std::sqrt(lambda) * at::eye(inner, at::kDouble)});
  const at::Tensor right =
      at::cat({missing * weights, at::zeros({inner, target.size(1)}, at::kDouble)});
  return std::get<0>(at::linalg_lstsq(stacked, right)).t();
}

// Of one piece of the texts, and of several.
TEST(FitLayers, IsTheRidgeSolution) {
  for (const std::int64_t rows : {12, 150}) {
    const types::ModelInput input = texts(rows);
    const auto source = load(kFolder, {});
    const auto student = load(kFolder, {0, 2});
    const FirstLayer before = first_layer(*student, input);
    const auto hidden = source->forward_with_layers(input, {.hidden = {1}, .attention = {}});
    const at::Tensor target = hidden.layers.hidden.at(1).to(at::kDouble);
    const auto kept = std::vector<std::int64_t>{0, 2};
    fit_layers(*student, *source, kept, input, {.ridge = 0.05});
    const at::Tensor change =
        copies(*student).at("model.layers.0.mlp.down_proj.weight") - before.weight.to(at::kFloat);
    const at::Tensor expected = ridge_solution(before, target, 0.05);
    EXPECT_GT(expected.abs().max().item<double>(), 1e-3);
    EXPECT_LT(relative_error(change, expected), 1e-4) << rows;
  }
}

TEST(FitLayers, OnlyLastProjectionsChangeAndErrorsFall) {
  const auto source = load(kFolder, {});
  const auto student = load(kFolder, {0, 2});
  const auto before = copies(*student);
  const auto kept = std::vector<std::int64_t>{0, 2};
  const auto fits = fit_layers(*student, *source, kept, texts(), {.ridge = 1e-3});
  ASSERT_EQ(fits.size(), 2u);
  for (const auto& fit : fits) EXPECT_LT(fit.error_after, 0.8 * fit.error_before) << fit.layer;
  for (const auto& [name, tensor] : copies(*student)) {
    EXPECT_EQ(at::equal(tensor, before.at(name)), !name.ends_with("mlp.down_proj.weight")) << name;
  }
}

TEST(FitLayers, ErrorsAreThoseOfTheModel) {
  const auto source = load(kFolder, {});
  const auto student = load(kFolder, {1, 2});
  const auto kept = std::vector<std::int64_t>{1, 2};
  const auto fits = fit_layers(*student, *source, kept, texts(), {});
  const auto state = [](CausalLm& model, std::int64_t layer) {
    const auto output = model.forward_with_layers(texts(), {.hidden = {layer}, .attention = {}});
    return output.layers.hidden.at(layer).to(at::kDouble);
  };
  for (const auto& [layer, of_source] : {std::pair{0, 1}, std::pair{1, 3}}) {
    const at::Tensor target = state(*source, of_source);
    const at::Tensor squares = target.square().mean(1);
    const at::Tensor weights = squares.clamp_min(0.1 * at::median(squares).item<double>());
    const at::Tensor errors = (state(*student, layer) - target).square().mean(1) / weights;
    EXPECT_NEAR(fits[static_cast<std::size_t>(layer)].error_after,
                std::sqrt(errors.mean().item<double>()), 1e-5);
  }
}

TEST(FitLayers, AStudentOfAllLayersStaysAsItIs) {
  const auto source = load(kFolder, {});
  const auto student = load(kFolder, {});
  const auto before = copies(*student);
  const auto kept = std::vector<std::int64_t>{0, 1, 2, 3};
  const auto fits = fit_layers(*student, *source, kept, texts(), {});
  for (const auto& fit : fits) EXPECT_LT(fit.error_before, 1e-6);
  for (const auto& [name, tensor] : copies(*student)) {
    EXPECT_LT(relative_error(tensor, before.at(name)), 1e-5) << name;
  }
}

TEST(FitLayers, WorksInBf16AndForEveryFamily) {
  for (const char* name : {"qwen2", "qwen3", "mistral_window", "llama_yarn"}) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto source = load(tiny_model(name), {}, dtype);
      const std::vector<std::int64_t> kept = {0};
      const auto student = load(tiny_model(name), kept, dtype);
      const auto fits = fit_layers(*student, *source, kept, texts(), {.ridge = 1e-3});
      ASSERT_EQ(fits.size(), 1u) << name;
      EXPECT_LT(fits[0].error_after, fits[0].error_before) << name << " " << dtype;
    }
  }
}

// The second of the two layers is of experts.
TEST(FitLayers, LayersOfExpertsAreLeftAsTheyAre) {
  const auto source = load(tiny_model("qwen3_moe"), {});
  const std::vector<std::int64_t> kept = {1};
  const auto student = load(tiny_model("qwen3_moe"), kept);
  const auto before = copies(*student);
  EXPECT_TRUE(fit_layers(*student, *source, kept, texts(), {}).empty());
  for (const auto& [name, tensor] : copies(*student)) {
    EXPECT_TRUE(at::equal(tensor, before.at(name))) << name;
  }
}

TEST(FitLayers, IsStoppedBetweenLayers) {
  const auto source = load(kFolder, {});
  const auto student = load(kFolder, {0, 2});
  int calls = 0;
  const auto stop = [&] {
    if (++calls == 2) fail<IoError>("enough");
  };
  const auto kept = std::vector<std::int64_t>{0, 2};
  EXPECT_THROW(fit_layers(*student, *source, kept, texts(), {.between_pieces = stop}), IoError);
}

TEST(FitLayers, WhatCannotBeFittedIsRefused) {
  const auto source = load(kFolder, {});
  const auto student = load(kFolder, {0, 2});
  const auto refusal = [&](CausalLm& model, std::vector<std::int64_t> kept,
                           const types::ModelInput& input) {
    return message_of<Error>([&] { fit_layers(model, *source, kept, input, {}); });
  };
  const std::string order = refusal(*student, {2, 0}, texts());
  EXPECT_NE(order.find("in ascending order"), std::string::npos) << order;
  EXPECT_NE(refusal(*student, {0, 9}, texts()).find("2 of 4 layers"), std::string::npos);
  EXPECT_NE(refusal(*student, {0, 2, 3}, texts()).find("3 of 4 layers"), std::string::npos);
  const auto narrow =
      load_causal_lm(kFolder, {.keep_layers = {0, 2}, .quantize = ops::WeightFormat::kInt8});
  EXPECT_NE(refusal(*narrow, {0, 2}, texts()).find("quantised"), std::string::npos);
  EXPECT_NE(refusal(*student, {0, 2}, {}).find("input_ids"), std::string::npos);
  const std::string ridge = message_of<Error>([&] {
    fit_layers(*student, *source, std::vector<std::int64_t>{0, 2}, texts(1), {.ridge = 1e-30});
  });
  EXPECT_NE(ridge.find("use a larger one, or more tokens"), std::string::npos) << ridge;
  for (auto& parameter : student->parameters()) {
    if (parameter.name == "model.layers.0.mlp.up_proj.weight") parameter.tensor.fill_(1e38);
  }
  EXPECT_NE(refusal(*student, {0, 2}, texts()).find("layer 0"), std::string::npos);
}

}  // namespace
}  // namespace distill::models
