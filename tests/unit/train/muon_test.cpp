#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/train/builtins.h>

#include "support/temp_folder.h"

namespace distill::train {
namespace {

using testing::message_of;
using testing::TempFolder;

const MuonOptions kOptions{.lr = 0.01, .momentum = 0.9, .weight_decay = 0.1};

std::vector<models::NamedParameter> make_parameters(at::ScalarType dtype) {
  const auto make = [dtype](at::IntArrayRef shape) {
    return at::randn(shape, at::kFloat).to(dtype).set_requires_grad(true);
  };
  return {{"model.embed_tokens.weight", make({11, 6})},
          {"wide.weight", make({6, 10})},
          {"norm.weight", make({6})},
          {"tall.weight", make({10, 6})}};
}

std::vector<at::Tensor> make_gradients(const std::vector<models::NamedParameter>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const auto& [name, tensor] : parameters) {
    gradients.push_back(at::randn(tensor.sizes(), at::kFloat).to(tensor.scalar_type()));
  }
  return gradients;
}

/// In float64, the polynomial taken of the singular values.
at::Tensor orthogonal(const at::Tensor& matrix, int iterations) {
  const auto [u, s, vh] = at::linalg_svd(matrix / matrix.norm(), false);
  at::Tensor value = s;
  for (int i = 0; i < iterations; ++i) {
    value = value * 3.4445 - value.pow(3) * 4.7750 + value.pow(5) * 2.0315;
  }
  return at::mm(u * value, vh);
}

/// One matrix in float64.
struct Oracle {
  at::Tensor weight, momentum;
  explicit Oracle(const at::Tensor& start)
      : weight(start.detach().to(at::kDouble)), momentum(at::zeros_like(weight)) {}

  void step(const at::Tensor& gradient, double scale, double lr) {
    const at::Tensor g = gradient.to(at::kDouble) * scale;
    momentum = momentum * 0.9 + g * (1 - 0.9);
    const at::Tensor direction = g * (1 - 0.9) + momentum * 0.9;
    const double larger = static_cast<double>(std::max(weight.size(0), weight.size(1)));
    weight = weight * (1 - lr * 0.1) - orthogonal(direction, 5) * (lr * 0.2 * std::sqrt(larger));
  }
};

double difference(const at::Tensor& actual, const at::Tensor& expected) {
  return (actual.detach().to(at::kDouble) - expected.to(at::kDouble)).abs().max().item<double>();
}

class MuonOracle : public ::testing::TestWithParam<at::ScalarType> {};

TEST_P(MuonOracle, MatricesFollowTheOracleAndTheRestAdamW) {
  auto parameters = make_parameters(GetParam());
  std::vector<models::NamedParameter> others = {
      {parameters[0].name, parameters[0].tensor.detach().clone()},
      {parameters[2].name, parameters[2].tensor.detach().clone()}};
  Oracle wide(parameters[1].tensor);
  Oracle tall(parameters[3].tensor);
  const auto optimizer = make_muon(kOptions, parameters);
  const auto adamw = make_adamw({.lr = 0.01, .weight_decay = 0.1}, others);
  for (int t = 1; t <= 10; ++t) {
    const auto gradients = make_gradients(parameters);
    const double scale = t % 2 == 0 ? 0.25 : 1.0;
    const double factor = 1.0 / t;
    optimizer->step(gradients, scale, factor);
    adamw->step({gradients[0], gradients[2]}, scale, factor);
    wide.step(gradients[1], scale, 0.01 * factor);
    tall.step(gradients[3], scale, 0.01 * factor);
  }
  EXPECT_EQ(optimizer->steps(), 10);
  const auto state = optimizer->state();
  // Rates sum to 0.03: a step moves an entry by about 0.2 of its rate, and bf16 errs by 2 % of it.
  EXPECT_LT(difference(state[0].second, wide.weight), 6e-4);
  EXPECT_LT(difference(state[1].second, wide.momentum), 1e-6);
  EXPECT_LT(difference(state[2].second, tall.weight), 6e-4);
  EXPECT_TRUE(parameters[0].tensor.equal(others[0].tensor));
  EXPECT_TRUE(parameters[2].tensor.equal(others[1].tensor));
  EXPECT_TRUE(parameters[1].tensor.equal(state[0].second.to(GetParam())));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, MuonOracle, ::testing::Values(at::kFloat, at::kBFloat16));

// Every option differs from its default.
TEST(Muon, TakesEveryOption) {
  const MuonOptions options{.lr = 0.02,
                            .momentum = 0.8,
                            .nesterov = false,
                            .iterations = 3,
                            .weight_decay = 0.2,
                            .adamw_for = {"wide.weight"},
                            .adamw_lr_ratio = 0.5,
                            .betas = {0.7, 0.8},
                            .eps = 1e-2};
  auto parameters = make_parameters(at::kFloat);
  const at::Tensor start = parameters[3].tensor.detach().to(at::kDouble);
  std::vector<models::NamedParameter> others = {
      {parameters[1].name, parameters[1].tensor.detach().clone()},
      {parameters[2].name, parameters[2].tensor.detach().clone()}};
  const auto optimizer = make_muon(options, parameters);
  const auto adamw =
      make_adamw({.lr = 0.01, .betas = {0.7, 0.8}, .eps = 1e-2, .weight_decay = 0.2}, others);
  const auto gradients = make_gradients(parameters);
  optimizer->step(gradients, 1.0, 1.0);
  adamw->step({gradients[1], gradients[2]}, 1.0, 1.0);
  EXPECT_TRUE(parameters[1].tensor.equal(others[0].tensor));
  EXPECT_TRUE(parameters[2].tensor.equal(others[1].tensor));
  // The momentum of a first step is the gradient but for its scale.
  const at::Tensor direction = orthogonal(gradients[3].to(at::kDouble), 3);
  const at::Tensor expected = start * (1 - 0.02 * 0.2) - direction * (0.02 * 0.2 * std::sqrt(10.0));
  EXPECT_LT(difference(parameters[3].tensor, expected), 5e-4);
  EXPECT_GT(difference(parameters[3].tensor, start), 2e-3);
  // Of the second step it is not the gradient's, nor looked ahead of.
  const auto second = make_gradients(parameters);
  const at::Tensor between = parameters[3].tensor.detach().to(at::kDouble);
  optimizer->step(second, 1.0, 1.0);
  const at::Tensor momentum =
      gradients[3].to(at::kDouble) * 0.2 * 0.8 + second[3].to(at::kDouble) * 0.2;
  EXPECT_LT(difference(parameters[3].tensor,
                       between * (1 - 0.02 * 0.2) -
                           orthogonal(momentum, 3) * (0.02 * 0.2 * std::sqrt(10.0))),
            5e-4);
}

TEST(Muon, AnUpdateIsAsLargeAsAdamWs) {
  std::vector<models::NamedParameter> parameters = {{"w", at::randn({48, 128}, at::kFloat)}};
  const at::Tensor before = parameters[0].tensor.clone();
  make_muon({.lr = 0.01}, parameters)->step(make_gradients(parameters), 1.0, 1.0);
  const at::Tensor moved = parameters[0].tensor - before;
  const double root_mean_square = std::sqrt(moved.square().mean().item<double>());
  EXPECT_NEAR(root_mean_square, 0.2 * 0.01, 0.2 * 0.002);
}

TEST(Muon, StateIsNamedAfterTheParameters) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : make_muon({}, make_parameters(at::kBFloat16))->state()) {
    names.push_back(name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{
                       "master.wide.weight", "momentum.wide.weight", "master.tall.weight",
                       "momentum.tall.weight", "master.model.embed_tokens.weight",
                       "exp_avg.model.embed_tokens.weight", "exp_avg_sq.model.embed_tokens.weight",
                       "master.norm.weight", "exp_avg.norm.weight", "exp_avg_sq.norm.weight",
                       "step.model.embed_tokens.weight", "step.norm.weight"}));
}

TEST(Muon, RestoredStateContinuesBitForBit) {
  const TempFolder folder;
  auto parameters = make_parameters(at::kBFloat16);
  const auto optimizer = make_muon(kOptions, parameters);
  for (int i = 0; i < 3; ++i) {
    auto gradients = make_gradients(parameters);
    if (i == 1) gradients[3].reset();  // an expert that no token chose
    optimizer->step(gradients, 1.0, 1.0);
  }
  io::write_safetensors(folder / "state", optimizer->state(), {});
  auto other = make_parameters(at::kBFloat16);
  const auto resumed = make_muon(kOptions, other);
  resumed->restore(io::SafetensorsFile::open(folder / "state"), optimizer->steps());
  EXPECT_EQ(resumed->steps(), 3);
  const auto gradients = make_gradients(parameters);
  optimizer->step(gradients, 0.5, 1.0);
  resumed->step(gradients, 0.5, 1.0);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_TRUE(other[i].tensor.equal(parameters[i].tensor)) << parameters[i].name;
  }
}

TEST(Muon, RestoreRefusesTheStateOfAdamWAndChangesNothing) {
  const TempFolder folder;
  auto parameters = make_parameters(at::kFloat);
  io::write_safetensors(folder / "state", make_adamw({}, parameters)->state(), {});
  const at::Tensor before = parameters[1].tensor.detach().clone();
  const auto optimizer = make_muon(kOptions, parameters);
  EXPECT_EQ(message_of<FormatError>(
                [&] { optimizer->restore(io::SafetensorsFile::open(folder / "state"), 0); }),
            (folder / "state").string() + ": tensor `momentum.wide.weight` is missing");
  EXPECT_TRUE(parameters[1].tensor.equal(before));
}

TEST(Muon, RefusesOptionsOutOfRange) {
  const auto message = [](const MuonOptions& options) {
    return message_of<ConfigError>([&] { make_muon(options, {}); });
  };
  EXPECT_EQ(message({.momentum = 1}), "muon: `momentum` must be at least 0 and below 1, it is 1");
  EXPECT_EQ(message({.iterations = 0}), "muon: `iterations` must be from 1 to 20, it is 0");
  EXPECT_EQ(message({.adamw_lr_ratio = 0}), "muon: `adamw_lr_ratio` must be above 0, it is 0");
  EXPECT_EQ(message_of<UnsupportedError>([] {
              make_muon({}, {{"w", at::randn({2, 2}, at::kDouble)}});
            }),
            "parameter `w` is Double; Muon trains float32 and bfloat16 parameters");
}

// Somebody wrote to a parameter: the next step starts there.
TEST(Muon, TakesParametersAsTheyAre) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto parameters = make_parameters(dtype);
    const auto optimizer = make_muon(kOptions, parameters);
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
