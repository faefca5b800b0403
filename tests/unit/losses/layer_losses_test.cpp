#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <distill/losses/attention_kl.h>
#include <distill/losses/hidden_cosine.h>
#include <distill/losses/hidden_mse.h>

#include "support/layer_input.h"
#include "support/loss_input.h"
#include "support/tolerance.h"

namespace distill::losses {
namespace {

using testing::layer_context;
using testing::layer_input;
using testing::LayerSizes;
using testing::relative_error;

constexpr at::ScalarType kTypes[] = {at::kDouble, at::kFloat, at::kBFloat16};
constexpr LayerSizes kWider{.teacher_width = 12};

/// What one row is from its teacher's, in plain float64.
using RowDistance = std::function<at::Tensor(const at::Tensor& y, const at::Tensor& t)>;

at::Tensor mean_square(const at::Tensor& y, const at::Tensor& t) {
  return ((y - t) * (y - t)).sum() / static_cast<double>(t.numel());
}
at::Tensor relative_square(const at::Tensor& y, const at::Tensor& t) {
  return ((y - t) * (y - t)).sum() / (t * t).sum();
}
at::Tensor cosine_distance(const at::Tensor& y, const at::Tensor& t) {
  return 1.0 - (y * t).sum() / ((y * y).sum().sqrt() * (t * t).sum().sqrt());
}

/// The definition, row by row, over the pairs 0 -> 1 and 1 -> 3.
at::Tensor hidden_oracle(const LossInput& input, const RowDistance& distance,
                         const at::Tensor& projection) {
  at::Tensor total = at::zeros({}, at::kDouble);
  for (const LayerPair& pair : {LayerPair{0, 1}, LayerPair{1, 3}}) {
    const at::Tensor student = input.student.layers.hidden.at(pair.student).to(at::kDouble);
    const at::Tensor teacher = input.teacher_layers.hidden.at(pair.teacher).to(at::kDouble);
    for (std::int64_t i = 0; i < student.size(0); ++i) {
      if (input.mask.defined() && !input.mask[i].item<bool>()) continue;
      at::Tensor y = student[i];
      if (projection.defined()) y = projection.to(at::kDouble).mv(y);
      const double weight = input.weights.defined() ? input.weights[i].item<double>() : 1.0;
      total = total + distance(y, teacher[i]) * weight;
    }
  }
  return total / 2.0;
}

struct Gradients {
  std::vector<at::Tensor> layers;
  at::Tensor projection;
};

/// The gradients that `sum` leaves, which are then forgotten.
Gradients take_gradients(const at::Tensor& sum, LossInput& input, at::Tensor projection) {
  sum.backward();
  Gradients result;
  for (auto& [layer, hidden] : input.student.layers.hidden) {
    result.layers.push_back(hidden.grad().to(at::kDouble));
    hidden.mutable_grad().reset();
  }
  if (projection.defined()) {
    result.projection = projection.grad().to(at::kDouble);
    projection.mutable_grad().reset();
  }
  return result;
}

void expect_definition(Loss& loss, double weight, const RowDistance& distance,
                       const LayerSizes& sizes) {
  loss.prepare(layer_context(sizes));
  const at::Tensor projection =
      loss.parameters().empty() ? at::Tensor() : loss.parameters().front().tensor;
  for (const auto type : kTypes) {
    SCOPED_TRACE(c10::toString(type));
    const auto tolerance = testing::tolerance_of(type);
    LossInput input = layer_input(sizes, type);
    input.weights = testing::normal({sizes.rows}, 99).abs();
    const at::Tensor expected = hidden_oracle(input, distance, projection);
    const Gradients slope = take_gradients(expected * weight, input, projection);
    const auto value = loss(input);
    EXPECT_EQ(value.count, 16);
    ASSERT_EQ(value.parts.size(), 1u);
    EXPECT_EQ(value.parts[0].name, loss.name());
    const double sum = expected.item<double>();
    EXPECT_NEAR(value.parts[0].sum.item<double>(), sum, tolerance.value * sum);
    EXPECT_NEAR(value.sum.item<double>(), weight * sum, tolerance.value * weight * sum);
    const Gradients got = take_gradients(value.sum, input, projection);
    for (std::size_t i = 0; i < got.layers.size(); ++i) {
      EXPECT_LE(relative_error(got.layers[i], slope.layers[i]), tolerance.gradient) << i;
    }
    if (projection.defined()) {
      EXPECT_LE(relative_error(got.projection, slope.projection), 2e-5);
    }
  }
}

TEST(HiddenMse, IsItsDefinition) {
  HiddenMse plain({.weight = 0.7});
  expect_definition(plain, 0.7, mean_square, {});
  HiddenMse relative({.relative = true});
  expect_definition(relative, 1.0, relative_square, {});
  HiddenMse projected({.weight = 0.5, .project = true});
  expect_definition(projected, 0.5, mean_square, kWider);
  HiddenMse listed({.layers = {{0, 1}, {1, 3}}, .project = true, .relative = true});
  expect_definition(listed, 1.0, relative_square, kWider);
}

TEST(HiddenCosine, IsItsDefinition) {
  HiddenCosine plain({.weight = 0.7});
  expect_definition(plain, 0.7, cosine_distance, {});
  HiddenCosine projected({.project = true});
  expect_definition(projected, 1.0, cosine_distance, kWider);
}

std::vector<std::unique_ptr<Loss>> all_kinds() {
  std::vector<std::unique_ptr<Loss>> losses;
  losses.push_back(std::make_unique<HiddenMse>(HiddenMseOptions{}));
  losses.push_back(std::make_unique<HiddenMse>(HiddenMseOptions{.relative = true}));
  losses.push_back(std::make_unique<HiddenCosine>(HiddenCosineOptions{}));
  losses.push_back(std::make_unique<AttentionKl>(AttentionKlOptions{}));
  for (auto& loss : losses) loss->prepare(layer_context({}));
  return losses;
}

/// Everything the student's layers hold, as leaves.
std::vector<at::Tensor> leaves_of(const LossInput& input) {
  std::vector<at::Tensor> leaves;
  for (const auto& [layer, hidden] : input.student.layers.hidden) leaves.push_back(hidden);
  for (const auto& [layer, maps] : input.student.layers.attention) {
    leaves.push_back(maps.q);
    leaves.push_back(maps.k);
  }
  return leaves;
}

std::vector<at::Tensor> gradients_of(const LossInput& input) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& leaf : leaves_of(input)) {
    gradients.push_back(leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf));
  }
  return gradients;
}

TEST(LayerLosses, GradientsAreDifferenceQuotients) {
  constexpr double kStep = 1e-5;
  for (const auto& loss : all_kinds()) {
    SCOPED_TRACE(loss->name());
    const LossInput input = layer_input({.rows = 9}, at::kDouble);
    (*loss)(input).sum.backward();
    const auto gradients = gradients_of(input);
    const auto leaves = leaves_of(input);
    for (std::size_t l = 0; l < leaves.size(); ++l) {
      at::Tensor values = leaves[l].detach().view(-1);
      for (std::int64_t e = 0; e < values.numel(); e += 5) {
        const double before = values[e].item<double>();
        const auto value_at = [&](double x) {
          values[e] = x;
          return (*loss)(input).sum.item<double>();
        };
        const double slope = (value_at(before + kStep) - value_at(before - kStep)) / (2 * kStep);
        values[e] = before;
        EXPECT_NEAR(gradients[l].view(-1)[e].item<double>(), slope, 1e-8) << l << " " << e;
      }
    }
  }
}

TEST(LayerLosses, MaskedRowsMayHoldAnything) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& loss : all_kinds()) {
    SCOPED_TRACE(loss->name());
    const LossInput clean = layer_input({}, at::kFloat);
    LossInput harmed = layer_input({}, at::kFloat);
    const at::Tensor masked = ~harmed.mask;
    for (auto* states : {&harmed.student.layers, &harmed.teacher_layers}) {
      for (auto& [layer, hidden] : states->hidden) {
        hidden.detach().masked_fill_(masked.unsqueeze(1), nan);
      }
      for (auto& [layer, maps] : states->attention) {
        maps.q.detach().masked_fill_(masked.view({-1, 1, 1}), nan);
        maps.k.detach().select(0, 23).fill_(nan);  // nobody sees the last key
      }
    }
    const auto value = (*loss)(harmed), expected = (*loss)(clean);
    EXPECT_EQ(value.sum.item<double>(), expected.sum.item<double>());
    EXPECT_EQ(value.count, 16);
    value.sum.backward();
    expected.sum.backward();
    const auto got = gradients_of(harmed), all = gradients_of(clean);
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::equal(got[i], all[i])) << i;
    for (const auto& [layer, hidden] : harmed.student.layers.hidden) {
      if (!hidden.grad().defined()) continue;
      EXPECT_EQ(hidden.grad().masked_select(masked.unsqueeze(1)).abs().sum().item<double>(), 0.0);
    }
  }
}

TEST(LayerLosses, EqualModelsGiveExactlyZero) {
  const LayerSizes sizes{.student_layers = 4};
  for (const auto& loss : all_kinds()) {
    loss->prepare(layer_context(sizes));
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      LossInput input = layer_input(sizes, type);
      for (auto& [layer, hidden] : input.teacher_layers.hidden) {
        hidden = input.student.layers.hidden.at(layer).detach().clone();
      }
      for (auto& [layer, maps] : input.teacher_layers.attention) {
        const auto& student = input.student.layers.attention.at(layer);
        maps = {student.q.detach().clone(), student.k.detach().clone(), student.scale};
      }
      const auto value = (*loss)(input);
      EXPECT_EQ(value.sum.item<double>(), 0.0) << loss->name();
      value.sum.backward();
      for (const at::Tensor& gradient : gradients_of(input)) {
        EXPECT_EQ(gradient.abs().sum().item<double>(), 0.0) << loss->name();
      }
    }
  }
}

TEST(LayerLosses, NoMaskMeansAllRowsAndAnEmptyOneIsZero) {
  for (const auto& loss : all_kinds()) {
    LossInput input = layer_input({}, at::kFloat);
    input.mask = at::ones({24}, at::kBool);
    const double all = (*loss)(input).sum.item<double>();
    EXPECT_GT(all, 0.0);
    input.mask = at::Tensor();
    EXPECT_EQ((*loss)(input).sum.item<double>(), all);
    EXPECT_EQ((*loss)(input).count, 24);
    input.weights = at::full({24}, 0.25);
    EXPECT_NEAR((*loss)(input).sum.item<double>(), 0.25 * all, 1e-6 * all);
    input.mask = at::zeros({24}, at::kBool);
    const auto none = (*loss)(input);
    EXPECT_EQ(none.sum.item<double>(), 0.0);
    EXPECT_EQ(none.count, 0);
    none.sum.backward();
    for (const at::Tensor& gradient : gradients_of(input)) {
      EXPECT_EQ(gradient.abs().sum().item<double>(), 0.0);
    }
  }
}

TEST(LayerLosses, PackedEqualsSeparate) {
  const LossInput packed = layer_input({}, at::kDouble);
  for (const auto& loss : all_kinds()) {
    double sum = 0;
    for (std::size_t s = 1; s < packed.segments.size(); ++s) {
      const std::int64_t begin = packed.segments[s - 1], count = packed.segments[s] - begin;
      LossInput alone = packed;
      for (auto* states : {&alone.student.layers, &alone.teacher_layers}) {
        for (auto& [layer, hidden] : states->hidden) hidden = hidden.narrow(0, begin, count);
        for (auto& [layer, maps] : states->attention) {
          maps.q = maps.q.narrow(0, begin, count);
          maps.k = maps.k.narrow(0, begin, count);
        }
      }
      alone.mask = packed.mask.narrow(0, begin, count);
      alone.segments = {0, count};
      sum += (*loss)(alone).sum.item<double>();
    }
    EXPECT_NEAR((*loss)(packed).sum.item<double>(), sum, 1e-12 * sum) << loss->name();
  }
}

TEST(HiddenCosine, RowsOfZerosHaveFiniteGradients) {
  HiddenCosine loss({});
  loss.prepare(layer_context({}));
  LossInput input = layer_input({}, at::kFloat);
  input.student.layers.hidden.at(0).detach().zero_();
  const auto value = loss(input);
  value.sum.backward();
  EXPECT_TRUE(std::isfinite(value.sum.item<double>()));
  EXPECT_TRUE(std::isfinite(input.student.layers.hidden.at(0).grad().abs().sum().item<double>()));
}

TEST(AttentionKl, ComparesDifferentNumbersOfHeads) {
  const LayerSizes sizes{.student_heads = 2, .teacher_heads = 6};
  AttentionKl loss({.layers = {{1, 2}}});
  loss.prepare(layer_context(sizes));
  const LossInput input = layer_input(sizes, at::kFloat);
  const auto value = loss(input);
  EXPECT_GT(value.sum.item<double>(), 0.0);
  value.sum.backward();
  EXPECT_GT(input.student.layers.attention.at(1).q.grad().abs().sum().item<double>(), 0.0);
  EXPECT_FALSE(input.student.layers.attention.at(0).q.grad().defined());
}

}  // namespace
}  // namespace distill::losses
