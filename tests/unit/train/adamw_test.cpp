#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/train/builtins.h>

#include "reference/ops_values.h"
#include "support/temp_folder.h"

namespace distill::train {
namespace {

using testing::message_of;
using testing::TempFolder;

const AdamWOptions kOptions{.lr = 0.01, .betas = {0.8, 0.95}, .eps = 1e-8, .weight_decay = 0.1};

std::vector<models::NamedParameter> make_parameters(at::ScalarType dtype) {
  const auto make = [dtype](at::IntArrayRef shape) {
    return at::randn(shape, at::kFloat).to(dtype).set_requires_grad(true);
  };
  return {{"layer.weight", make({7, 5})}, {"norm.weight", make({9})}};
}

std::vector<at::Tensor> make_gradients(const std::vector<models::NamedParameter>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const auto& [name, tensor] : parameters) {
    gradients.push_back(at::randn(tensor.sizes(), at::kFloat).to(tensor.scalar_type()));
  }
  return gradients;
}

/// The paper's algorithm 2 in float64, one tensor.
struct Oracle {
  at::Tensor weight, m, v;
  double decay;
  explicit Oracle(const at::Tensor& start, double decay_in)
      : weight(start.detach().to(at::kDouble)),
        m(at::zeros_like(weight)),
        v(at::zeros_like(weight)),
        decay(decay_in) {}
  void step(const at::Tensor& gradient, double scale, double lr, int t) {
    const at::Tensor g = gradient.to(at::kDouble) * scale;
    m = m * 0.8 + g * (1 - 0.8);
    v = v * 0.95 + g * g * (1 - 0.95);
    const at::Tensor m_hat = m / (1 - std::pow(0.8, t));
    const at::Tensor v_hat = v / (1 - std::pow(0.95, t));
    weight = weight - lr * decay * weight - lr * m_hat / (v_hat.sqrt() + 1e-8);
  }
};

void expect_close(const at::Tensor& actual, const at::Tensor& expected) {
  const double error = (actual.detach().to(at::kDouble) - expected).abs().max().item<double>();
  EXPECT_LT(error, 2e-6);
}

class AdamWOracle : public ::testing::TestWithParam<at::ScalarType> {};

TEST_P(AdamWOracle, TwentyStepsFollowTheOracle) {
  auto parameters = make_parameters(GetParam());
  Oracle matrix(parameters[0].tensor, kOptions.weight_decay);
  Oracle vector(parameters[1].tensor, 0.0);  // not decayed
  const auto optimizer = make_adamw(kOptions, parameters);
  for (int t = 1; t <= 20; ++t) {
    const auto gradients = make_gradients(parameters);
    const double scale = t % 2 == 0 ? 0.25 : 1.0;
    const double factor = 1.0 / t;
    optimizer->step(gradients, scale, factor);
    matrix.step(gradients[0], scale, kOptions.lr * factor, t);
    vector.step(gradients[1], scale, kOptions.lr * factor, t);
  }
  EXPECT_EQ(optimizer->steps(), 20);
  const auto state = optimizer->state();
  expect_close(state[0].second, matrix.weight);
  expect_close(state[1].second, matrix.m);
  expect_close(state[2].second, matrix.v);
  expect_close(state[3].second, vector.weight);
  for (std::size_t i = 0; i < 2; ++i) {
    const at::Tensor& parameter = parameters[i].tensor;
    EXPECT_TRUE(parameter.equal(state[3 * i].second.to(parameter.scalar_type())));
    EXPECT_TRUE(parameter.requires_grad());
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, AdamWOracle, ::testing::Values(at::kFloat, at::kBFloat16));

TEST(AdamW, SmallUpdatesAreNotLostInBfloat16) {
  std::vector<models::NamedParameter> parameters = {
      {"w", at::zeros({4, 4}, at::kBFloat16).fill_(1.0)}};
  const auto optimizer = make_adamw({.lr = 1e-4}, parameters);
  const std::vector<at::Tensor> gradients = {at::zeros({4, 4}, at::kBFloat16).fill_(1.0)};
  // One step of 1e-4 is below half a unit of bf16 at 1.0; forty are not.
  optimizer->step(gradients, 1.0, 1.0);
  EXPECT_EQ(parameters[0].tensor[0][0].item<float>(), 1.0f);
  for (int i = 0; i < 39; ++i) optimizer->step(gradients, 1.0, 1.0);
  EXPECT_EQ(parameters[0].tensor[0][0].item<float>(), 0.99609375f);
}

/// `values` as the matrix [2, 4] that decays.
at::Tensor matrix(at::ArrayRef<double> values) {
  return at::tensor(values).view({2, 4});
}

TEST(AdamW, ProducesTorchValuesWhereGradientsAreMissing) {
  using namespace reference;
  const at::Tensor start = matrix(kAdamWStart).to(at::kFloat);
  std::vector<models::NamedParameter> parameters = {{"always", start.clone()},
                                                    {"late", start.clone()}};
  const auto optimizer =
      make_adamw({.lr = 0.01, .betas = {0.9, 0.95}, .weight_decay = 0.1}, parameters);
  const at::Tensor gradients = at::tensor(at::ArrayRef<double>(kAdamWGradients)).view({10, 2, 4});
  for (std::int64_t step = 0; step < 10; ++step) {
    const at::Tensor gradient = gradients[step].to(at::kFloat);
    const bool late = kAdamWLateHasGradient[step] != 0.0;
    optimizer->step({gradient, late ? gradient : at::Tensor()}, 1.0, 1.0);
  }
  const auto state = optimizer->state();
  const std::vector<at::Tensor> expected = {matrix(kAdamWEnd),        matrix(kAdamWExpAvg),
                                            matrix(kAdamWExpAvgSq),   matrix(kAdamWLateEnd),
                                            matrix(kAdamWLateExpAvg), matrix(kAdamWLateExpAvgSq)};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    SCOPED_TRACE(state[i].first);
    expect_close(state[i].second, expected[i]);
  }
  EXPECT_EQ(state[6].second.item<std::int64_t>(), 10);
  EXPECT_EQ(state[7].second.item<double>(), kAdamWLateSteps[0]);
  EXPECT_EQ(optimizer->steps(), 10);
}

TEST(AdamW, ParametersWithoutAGradientAreLeftAlone) {
  auto parameters = make_parameters(at::kFloat);
  const at::Tensor before = parameters[0].tensor.detach().clone();
  const auto optimizer = make_adamw(kOptions, parameters);
  auto gradients = make_gradients(parameters);
  gradients[0].reset();
  optimizer->step(gradients, 1.0, 1.0);
  EXPECT_TRUE(parameters[0].tensor.equal(before));
  message_of<Error>([&] { optimizer->step({}, 1.0, 1.0); });
}

TEST(AdamW, StateIsNamedAfterTheParameters) {
  const auto optimizer = make_adamw(kOptions, make_parameters(at::kBFloat16));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : optimizer->state()) {
    names.push_back(name);
    EXPECT_EQ(tensor.scalar_type(), name.starts_with("step.") ? at::kLong : at::kFloat);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"master.layer.weight", "exp_avg.layer.weight",
                                             "exp_avg_sq.layer.weight", "master.norm.weight",
                                             "exp_avg.norm.weight", "exp_avg_sq.norm.weight",
                                             "step.layer.weight", "step.norm.weight"}));
}

TEST(AdamW, RestoredStateContinuesBitForBit) {
  const TempFolder folder;
  auto parameters = make_parameters(at::kBFloat16);
  const auto optimizer = make_adamw(kOptions, parameters);
  for (int i = 0; i < 3; ++i) {
    auto gradients = make_gradients(parameters);
    if (i < 2) gradients[1].reset();  // its own count must survive
    optimizer->step(gradients, 1.0, 1.0);
  }
  io::write_safetensors(folder / "state", optimizer->state(), {});

  auto other = make_parameters(at::kBFloat16);
  const auto resumed = make_adamw(kOptions, other);
  resumed->restore(io::SafetensorsFile::open(folder / "state"), optimizer->steps());
  EXPECT_EQ(resumed->steps(), 3);
  EXPECT_TRUE(other[0].tensor.equal(parameters[0].tensor));
  const auto gradients = make_gradients(parameters);
  optimizer->step(gradients, 0.5, 1.0);
  resumed->step(gradients, 0.5, 1.0);
  const auto expected = optimizer->state();
  const auto actual = resumed->state();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(actual[i].second.equal(expected[i].second)) << expected[i].first;
  }
  EXPECT_TRUE(other[1].tensor.equal(parameters[1].tensor));
}

TEST(AdamW, RestoreNamesWhatDoesNotFitAndChangesNothing) {
  const TempFolder folder;
  auto parameters = make_parameters(at::kFloat);
  const auto optimizer = make_adamw(kOptions, parameters);
  const at::Tensor before = parameters[0].tensor.detach().clone();
  const auto message = [&](std::vector<io::NamedTensor> tensors) {
    for (auto& [name, tensor] : tensors) tensor = tensor + 1;
    io::write_safetensors(folder / "bad", tensors, {});
    return message_of<FormatError>(
        [&] { optimizer->restore(io::SafetensorsFile::open(folder / "bad"), 1); });
  };
  const std::string file = (folder / "bad").string();

  auto tensors = optimizer->state();
  tensors.pop_back();
  EXPECT_EQ(message(tensors), file + ": tensor `step.norm.weight` is missing");
  tensors = optimizer->state();
  tensors.erase(tensors.begin() + 5);
  EXPECT_EQ(message(tensors), file + ": tensor `exp_avg_sq.norm.weight` is missing");
  for (const std::int64_t steps : {-1, 2}) {
    tensors = optimizer->state();
    tensors[7].second.fill_(steps - 1);  // `message` adds 1
    EXPECT_EQ(message(tensors), core::concat(file, ": tensor `step.norm.weight` is ", steps,
                                             ", expected 0 to 1, the steps of all"));
  }
  tensors = optimizer->state();
  tensors[6].second = tensors[6].second.to(at::kFloat);
  EXPECT_EQ(message(tensors), file + ": tensor `step.layer.weight` is Float, expected Long");
  tensors = optimizer->state();
  tensors.emplace_back("master.head", at::randn({2}));
  EXPECT_EQ(message(tensors), file +
                                  ": tensor `master.head` belongs to no trained parameter; was "
                                  "it written by another run?");
  tensors = optimizer->state();
  tensors[4].second = at::randn({8});
  EXPECT_EQ(message(tensors), file + ": tensor `exp_avg.norm.weight` has shape [8], expected [9]");
  tensors = optimizer->state();
  tensors[1].second = tensors[1].second.to(at::kBFloat16);
  EXPECT_EQ(message(tensors), file + ": tensor `exp_avg.layer.weight` is BFloat16, expected Float");
  EXPECT_TRUE(parameters[0].tensor.equal(before));
  EXPECT_EQ(optimizer->steps(), 0);
}

TEST(AdamW, RefusesWhatItCannotTrain) {
  EXPECT_EQ(message_of<UnsupportedError>([] {
              make_adamw(kOptions, {{"w", at::randn({2}, at::kDouble)}});
            }),
            "parameter `w` is Double; AdamW trains float32 and bfloat16 parameters");
  EXPECT_EQ(message_of<UnsupportedError>([] {
              make_adamw(kOptions, {{"w", at::randn({2, 3}).t()}});
            }),
            "parameter `w` is not contiguous in memory");
  const at::Tensor tensor = at::randn({2});
  EXPECT_EQ(message_of<ConfigError>([&] {
              make_adamw(kOptions, {{"w", tensor}, {"w", tensor}});
            }),
            "parameter `w` is given to the optimizer twice");
  EXPECT_EQ(message_of<ConfigError>([&] {
              make_adamw({.lr = -1}, {{"w", tensor}});
            }),
            "adamw: `lr` must be above 0, it is -1");
}

TEST(AdamW, IsBuiltFromARegistry) {
  OptimizerRegistry registry;
  add_builtin_optimizers(registry);
  core::Component<Optimizer, const std::vector<models::NamedParameter>&> component(registry,
                                                                                   "adamw");
  component.options<AdamWOptions>()->lr = 0.125;
  EXPECT_EQ(component.build(make_parameters(at::kFloat))->peak_lr(), 0.125);
}

// Somebody wrote to a parameter: the next step starts there.
TEST(AdamW, TakesParametersAsTheyAre) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto parameters = make_parameters(dtype);
    const auto optimizer = make_adamw(kOptions, parameters);
    for (auto& parameter : parameters) parameter.tensor.detach().fill_(3.0);
    optimizer->take_parameters();
    for (const auto& [name, tensor] : optimizer->state()) {
      if (!name.starts_with("master.")) continue;
      EXPECT_TRUE(tensor.eq(3.0).all().item<bool>()) << name;
    }
  }
}

}  // namespace
}  // namespace distill::train
