#include <cmath>

#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "support/recording_communicator.h"
#include "support/thread_communicator.h"

#include "training_rig.h"

namespace distill::train {
namespace {

using testing::PlainLoss;
using testing::TrainingRig;

/// Keeps what the trainer hands over and changes nothing.
class GradientRecorder final : public Optimizer {
 public:
  std::vector<at::Tensor> gradients;
  double scale = 0;
  double factor = 0;
  void step(const std::vector<at::Tensor>& given, double gradient_scale,
            double lr_factor) override {
    gradients.clear();
    for (const auto& gradient : given) gradients.push_back(gradient.clone());
    scale = gradient_scale;
    factor = lr_factor;
    ++steps_;
  }
  void take_parameters() override {}
  std::int64_t steps() const override { return steps_; }
  double peak_lr() const override { return 1.0; }
  std::vector<io::NamedTensor> state() const override { return {}; }
  void restore(const io::SafetensorsFile&, std::int64_t) override {}

 private:
  std::int64_t steps_ = 0;
};

TrainingRig::Settings one_step(std::int64_t micro_batch_size, at::ScalarType dtype = at::kFloat) {
  TrainingRig::Settings settings;
  settings.train = {
      .steps = 1, .batch_size = 8, .micro_batch_size = micro_batch_size, .gradient_clip = 0};
  settings.with_teacher = true;
  settings.dtype = dtype;
  return settings;
}

std::vector<at::Tensor> gradients_of(const TrainingRig::Settings& settings) {
  TrainingRig rig(settings);
  auto recorder = std::make_unique<GradientRecorder>();
  GradientRecorder& seen = *recorder;
  rig.optimizer = std::move(recorder);
  rig.trainer().run();
  return seen.gradients;
}

void expect_close(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected,
                  double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const at::Tensor difference = actual[i].to(at::kDouble) - expected[i].to(at::kDouble);
    const double norm = expected[i].to(at::kDouble).norm().item<double>();
    EXPECT_GT(norm, 0);
    EXPECT_LT(difference.norm().item<double>(), tolerance * norm);
  }
}

/// The mean over all target tokens of the first 8 rows in float64, taken in one piece.
std::vector<at::Tensor> oracle() {
  const auto settings = one_step(8);
  TrainingRig rig(settings);
  testing::ToyModel student({.seed = 3, .dtype = at::kDouble});
  testing::ToyModel teacher({.hidden_size = 6, .seed = 4});
  const types::Batch batch = rig.batches.next();
  const auto signal = teacher.forward(batch.input);
  PlainLoss loss;
  loss.with_teacher = true;
  const auto value =
      loss({student.forward(batch.input),
            types::DenseHidden{
                signal.hidden.detach().to(at::kDouble), signal.head.detach().to(at::kDouble), {}},
            batch.labels, batch.loss_mask});
  (value.sum / batch.num_targets).backward();
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : student.parameters()) gradients.push_back(parameter.tensor.grad());
  return gradients;
}

TEST(TrainerGradients, AnySplitGivesTheMeanOverTheWholeStep) {
  const auto expected = oracle();
  for (const std::int64_t rows : {1, 2, 4, 8}) {
    SCOPED_TRACE(rows);
    expect_close(gradients_of(one_step(rows)), expected, 1e-6);
  }
}

TEST(TrainerGradients, TwoRanksGiveTheSameAsOne) {
  const auto expected = oracle();
  std::vector<std::vector<at::Tensor>> seen(2);
  testing::ThreadGroup group(2);
  group.run([&](dist::Communicator& ranks) {
    auto settings = one_step(2);
    settings.ranks = &ranks;
    seen[static_cast<std::size_t>(ranks.rank())] = gradients_of(settings);
  });
  expect_close(seen[0], expected, 1e-6);
  for (std::size_t i = 0; i < seen[0].size(); ++i) EXPECT_TRUE(seen[0][i].equal(seen[1][i]));
}

TEST(TrainerGradients, Bfloat16GradientsAreAddedUpInFloat32) {
  const auto actual = gradients_of(one_step(1, at::kBFloat16));
  // By hand: the bf16 gradient of every row, added in fp32.
  TrainingRig rig(one_step(1, at::kBFloat16));
  std::vector<types::Batch> batches;
  std::int64_t targets = 0;
  for (int i = 0; i < 8; ++i) {
    batches.push_back(rig.batches.next());
    targets += batches.back().num_targets;
  }
  std::vector<at::Tensor> sums;
  for (const auto& batch : batches) {
    const auto value = rig.loss({rig.student.forward(batch.input), rig.teacher.signal(batch),
                                 batch.labels, batch.loss_mask});
    value.sum.backward(at::zeros_like(value.sum).fill_(1.0 / static_cast<double>(targets)));
    const auto parameters = rig.student.parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      at::Tensor& gradient = parameters[i].tensor.mutable_grad();
      if (sums.size() <= i) sums.push_back(at::zeros_like(gradient, at::TensorOptions(at::kFloat)));
      sums[i].add_(gradient);
      gradient.reset();
    }
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    EXPECT_EQ(actual[i].scalar_type(), at::kFloat);
    EXPECT_TRUE(actual[i].equal(sums[i])) << i;
  }
}

TEST(TrainerGradients, OneMicroBatchIsNotCopied) {
  TrainingRig rig(one_step(8, at::kBFloat16));
  struct Checker final : Optimizer {
    std::vector<models::NamedParameter> parameters;
    int calls = 0;
    void step(const std::vector<at::Tensor>& gradients, double, double) override {
      ++calls;
      for (std::size_t i = 0; i < gradients.size(); ++i) {
        EXPECT_EQ(gradients[i].data_ptr(), parameters[i].tensor.grad().data_ptr());
      }
    }
    void take_parameters() override {}
    std::int64_t steps() const override { return calls; }
    double peak_lr() const override { return 1.0; }
    std::vector<io::NamedTensor> state() const override { return {}; }
    void restore(const io::SafetensorsFile&, std::int64_t) override {}
  };
  auto checker = std::make_unique<Checker>();
  Checker& seen = *checker;
  seen.parameters = rig.student.parameters();
  rig.optimizer = std::move(checker);
  rig.trainer().run();
  EXPECT_EQ(seen.calls, 1);
  for (const auto& parameter : seen.parameters) EXPECT_FALSE(parameter.tensor.grad().defined());
}

double norm_of(const std::vector<at::Tensor>& gradients) {
  double sum = 0;
  for (const auto& gradient : gradients) {
    sum += gradient.to(at::kDouble).square().sum().item<double>();
  }
  return std::sqrt(sum);
}

TEST(TrainerGradients, ClipsTheGlobalNorm) {
  for (const double share : {0.5, 2.0, 0.0}) {
    SCOPED_TRACE(share);
    auto settings = one_step(2);
    const double norm = norm_of(oracle());
    settings.train.gradient_clip = share * norm;
    TrainingRig rig(settings);
    auto recorder = std::make_unique<GradientRecorder>();
    GradientRecorder& seen = *recorder;
    rig.optimizer = std::move(recorder);
    rig.trainer().run();
    EXPECT_NEAR(seen.scale, share == 0.5 ? 0.5 : 1.0, 1e-6);
    EXPECT_NEAR(testing::number(rig.sink.steps.at(0), "grad_norm"), norm, 1e-6 * norm);
  }
}

TEST(TrainerGradients, EveryRankReducesTheSameThingsOnce) {
  testing::RecordingCommunicator ranks;
  ranks.num_ranks = 2;
  ranks.multiplier = 2;
  auto settings = one_step(2);
  settings.ranks = &ranks;
  TrainingRig rig(settings);
  rig.trainer().run();
  const std::vector<std::string> expected = {
      "any",
      "sum_int 2",  // stop; tokens and targets of the whole step
      "any",
      "any",        // stop before each of the two micro-batches
      "any",        // somebody stopped waiting for the teacher
      "sum_int 2",  // which parameters have a gradient
      "sum_tensor 2080",
      "sum_tensor 2080",  // both parameters
      "sum_double 3",
      "any"};  // loss and two terms; finite everywhere
  EXPECT_EQ(ranks.calls, expected);
  // Both pretended ranks hold the same values, so means are what one rank sees.
  EXPECT_GT(testing::number(rig.sink.steps.at(0), "loss"), 1.0);
}

}  // namespace
}  // namespace distill::train
