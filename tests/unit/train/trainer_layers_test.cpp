// Training with losses over inner layers: their parameters learn, and resume bit for bit.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <distill/losses/forward_kl.h>
#include <distill/losses/hidden_mse.h>
#include <distill/losses/weighted_sum.h>

#include "training_rig.h"

namespace distill::train {
namespace {

using testing::expect_same;
using testing::number;
using testing::TempFolder;
using testing::TrainingRig;

constexpr std::int64_t kSteps = 8;
constexpr const char* kProjection = "loss.hidden_mse.projection";

/// A rig that learns from the toy teacher's logits and its one inner layer, which is narrower.
struct LayerRig : TrainingRig {
  explicit LayerRig(const Settings& settings_in) : TrainingRig(settings_in) {
    std::vector<std::unique_ptr<losses::Loss>> terms;
    terms.push_back(std::make_unique<losses::ForwardKl>(losses::ForwardKlOptions{}));
    terms.push_back(std::make_unique<losses::HiddenMse>(
        losses::HiddenMseOptions{.weight = 0.5, .project = true}));
    sum = losses::make_weighted_sum(std::move(terms));
    losses::LossContext context;
    context.student = {1, student.shape().hidden_size};
    context.teacher = teacher.layer_shape();
    context.seed = 21;
    sum->prepare(context);
    trainable = student.parameters();
    for (const auto& parameter : sum->parameters()) {
      trainable.push_back({"loss." + parameter.name, parameter.tensor});
    }
    optimizer = make_adamw({.lr = 0.05, .weight_decay = 0.01}, trainable);
  }

  Trainer layer_trainer() {
    return {settings.train, TrainerParts{.student = student,
                                         .trainable = trainable,
                                         .teacher = &teacher,
                                         .loss = *sum,
                                         .optimizer = *optimizer,
                                         .batches = batches,
                                         .ranks = ranks,
                                         .checkpoints = store ? &*store : nullptr,
                                         .sinks = {&sink},
                                         .stop = &stop,
                                         .log = *log,
                                         .after_step = after_step}};
  }
  at::Tensor projection() const { return trainable.back().tensor; }

  std::unique_ptr<losses::Loss> sum;
  std::vector<models::NamedParameter> trainable;
};

TrainingRig::Settings settings_for(at::ScalarType dtype) {
  TrainingRig::Settings settings;
  settings.dtype = dtype;
  settings.with_teacher = true;
  settings.train.steps = kSteps;
  settings.train.checkpoint = {.every = 0, .keep = 3};
  return settings;
}

TEST(TrainerLayers, LearnsTheProjectionBesideTheStudent) {
  LayerRig rig(settings_for(at::kFloat));
  const at::Tensor before = rig.projection().detach().clone();
  rig.layer_trainer().run();
  EXPECT_FALSE(at::equal(rig.projection(), before));
  const auto& steps = rig.sink.steps;
  EXPECT_LT(number(steps.back(), "hidden_mse"), 0.8 * number(steps.front(), "hidden_mse"));
  for (const auto& step : steps) {
    EXPECT_NEAR(number(step, "loss"), number(step, "forward_kl") + 0.5 * number(step, "hidden_mse"),
                1e-5);
  }
  bool saved = false;
  for (const auto& [name, tensor] : rig.optimizer->state()) {
    saved |= name == std::string("master.") + kProjection;
  }
  EXPECT_TRUE(saved);
}

class TrainerLayersDtypes : public ::testing::TestWithParam<at::ScalarType> {};
INSTANTIATE_TEST_SUITE_P(Dtypes, TrainerLayersDtypes, ::testing::Values(at::kFloat, at::kBFloat16));

TEST_P(TrainerLayersDtypes, ResumesBitForBit) {
  LayerRig straight(settings_for(GetParam()));
  straight.layer_trainer().run();
  for (const std::int64_t step : {1, 4, 7}) {
    SCOPED_TRACE(step);
    const TempFolder folder;
    auto settings = settings_for(GetParam());
    settings.checkpoints = folder.path();
    LayerRig first(settings);
    first.after_step = [&](std::int64_t done) {
      if (done == step) first.stop.request(15);
    };
    EXPECT_EQ(first.layer_trainer().run().steps, step);
    LayerRig second(settings);
    second.projection().detach().fill_(7.0);  // what is there before does not matter
    Trainer trainer = second.layer_trainer();
    EXPECT_EQ(trainer.restore(), step);
    EXPECT_TRUE(at::equal(second.projection(), first.projection()));
    trainer.run();
    expect_same(second.snapshot(), straight.snapshot());
    EXPECT_TRUE(at::equal(second.projection(), straight.projection()));
  }
}

// Only the trainer divides, so the projection's gradient is that of the whole step, too.
TEST(TrainerLayers, MicroBatchesChangeNothing) {
  const auto after = [](std::int64_t rows) {
    auto settings = settings_for(at::kFloat);
    settings.train.steps = 2;
    settings.train.micro_batch_size = rows;
    LayerRig rig(settings);
    rig.layer_trainer().run();
    return std::pair(number(rig.sink.steps.front(), "grad_norm"), rig.projection().detach());
  };
  const auto [norm_8, projection_8] = after(8);
  const auto [norm_1, projection_1] = after(1);
  EXPECT_NEAR(norm_1, norm_8, 1e-5 * norm_8);
  EXPECT_LT((projection_1 - projection_8).abs().max().item<double>(), 1e-3);
}

}  // namespace
}  // namespace distill::train
