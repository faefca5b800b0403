#include <distill/losses/weighted_sum.h>

#include <gtest/gtest.h>

#include <ATen/ops/tensor.h>

#include <distill/losses/cross_entropy.h>
#include <distill/losses/forward_kl.h>

#include "support/divergence_oracle.h"
#include "support/loss_input.h"
#include "support/temp_folder.h"
#include "support/tolerance.h"

namespace distill::losses {
namespace {

/// A loss that is not made of logits: half the sum of squares of the hidden states that count.
class HiddenSize final : public Loss {
 public:
  std::string name() const override { return "hidden_size"; }
  bool needs_teacher() const override { return false; }
  types::LossValue operator()(const LossInput& input) const override {
    const at::Tensor kept = input.student.hidden.index_select(0, input.mask.nonzero().select(1, 0));
    const at::Tensor sum = 0.5 * (kept * kept).sum();
    return {sum, kept.size(0), {{name(), 2.0 * sum.detach()}}};
  }
};

std::vector<std::string> names_of(const types::LossValue& value) {
  std::vector<std::string> names;
  for (const auto& part : value.parts) names.push_back(part.name);
  return names;
}

TEST(WeightedSum, IsTheSumOfItsLosses) {
  const auto input = testing::random_loss_input(20, 40, at::kFloat);
  std::vector<std::unique_ptr<Loss>> losses;
  losses.push_back(
      std::make_unique<ForwardKl>(ForwardKlOptions{.weight = 0.7, .temperature = 3.0}));
  losses.push_back(std::make_unique<CrossEntropy>(CrossEntropyOptions{.weight = 0.3}));
  double expected = 0;
  for (const auto& loss : losses) expected += (*loss)(input).sum.item<double>();
  const auto sum = make_weighted_sum(std::move(losses));
  const auto value = (*sum)(input);
  EXPECT_NEAR(value.sum.item<double>(), expected, 1e-5 * expected);
  EXPECT_EQ(value.count, 14);
  EXPECT_EQ(names_of(value), (std::vector<std::string>{"forward_kl", "cross_entropy"}));
  EXPECT_NEAR(0.7 * value.parts[0].sum.item<double>() + 0.3 * value.parts[1].sum.item<double>(),
              expected, 1e-5 * expected);
  EXPECT_EQ(sum->name(), "forward_kl + cross_entropy");
  EXPECT_TRUE(sum->needs_teacher());
}

TEST(WeightedSum, AddsLossesThatAreNotMadeOfLogitsAndKeepsTheOrder) {
  const auto input = testing::random_loss_input(20, 40, at::kFloat);
  std::vector<std::unique_ptr<Loss>> losses;
  losses.push_back(std::make_unique<HiddenSize>());
  losses.push_back(std::make_unique<ForwardKl>(ForwardKlOptions{.temperature = 1.0}));
  losses.push_back(std::make_unique<ForwardKl>(ForwardKlOptions{.temperature = 4.0}));
  const double alone = HiddenSize()(input).sum.item<double>();
  const double kl = (*losses[1])(input).sum.item<double>() + (*losses[2])(input).sum.item<double>();
  const auto value = (*make_weighted_sum(std::move(losses)))(input);
  EXPECT_EQ(names_of(value),
            (std::vector<std::string>{"hidden_size", "forward_kl", "forward_kl_2"}));
  EXPECT_NEAR(value.sum.item<double>(), alone + kl, 1e-5 * (alone + kl));
  value.sum.backward();
  const ops::LogitTerm terms[] = {{ops::LogitTermKind::kForwardKl, 1.0, 1.0},
                                  {ops::LogitTermKind::kForwardKl, 1.0, 4.0}};
  const auto oracle = testing::divergence_oracle(testing::as_op_input(input), terms);
  const at::Tensor counted = input.mask.unsqueeze(1).to(at::kDouble);
  const at::Tensor expected =
      oracle.hidden_grad + counted * input.student.hidden.detach().to(at::kDouble);
  EXPECT_LE(testing::relative_error(input.student.hidden.grad(), expected), 2e-5);
}

TEST(WeightedSum, WorksWithoutLogitTerms) {
  const auto input = testing::random_loss_input(9, 10, at::kFloat);
  std::vector<std::unique_ptr<Loss>> losses;
  losses.push_back(std::make_unique<HiddenSize>());
  const auto sum = make_weighted_sum(std::move(losses));
  EXPECT_FALSE(sum->needs_teacher());
  EXPECT_EQ((*sum)(input).count, 6);
}

std::unique_ptr<Loss> kl_and_cross_entropy() {
  std::vector<std::unique_ptr<Loss>> losses;
  losses.push_back(
      std::make_unique<ForwardKl>(ForwardKlOptions{.weight = 0.7, .temperature = 3.0}));
  losses.push_back(std::make_unique<CrossEntropy>(CrossEntropyOptions{.weight = 0.3}));
  return make_weighted_sum(std::move(losses));
}

std::vector<at::Tensor> gradients_of(const types::LossValue& value, const LossInput& input) {
  for (const at::Tensor& leaf : {input.student.hidden, input.student.head}) {
    leaf.mutable_grad().reset();
  }
  value.sum.backward();
  return {input.student.hidden.grad().clone(), input.student.head.grad().clone()};
}

void expect_close(const types::LossValue& got, const std::vector<at::Tensor>& got_gradients,
                  const types::LossValue& expected, const std::vector<at::Tensor>& gradients) {
  EXPECT_NEAR(got.sum.item<double>(), expected.sum.item<double>(), 1e-9);
  EXPECT_EQ(got.count, expected.count);
  ASSERT_EQ(names_of(got), names_of(expected));
  for (std::size_t i = 0; i < got.parts.size(); ++i) {
    EXPECT_NEAR(got.parts[i].sum.item<double>(), expected.parts[i].sum.item<double>(), 1e-9);
  }
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    EXPECT_LE((got_gradients[i] - gradients[i]).abs().max().item<double>(), 1e-10) << i;
  }
}

// Rows shared out among teachers that are the same give what one teacher gives.
TEST(WeightedSum, PartsThatShareOutTheRowsAreTheWhole) {
  const auto sum = kl_and_cross_entropy();
  auto input = testing::random_loss_input(20, 40, at::kDouble);
  const auto whole = (*sum)(input);
  const auto gradients = gradients_of(whole, input);
  const auto dense = std::get<types::DenseHidden>(input.teacher);
  types::PartedSignal parted;
  for (const auto& rows :
       {std::vector<std::int64_t>{0, 1, 5, 6, 19},
        std::vector<std::int64_t>{2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}}) {
    const at::Tensor own = at::tensor(rows);
    parted.parts.push_back(
        {own, 1.0, types::DenseHidden{dense.hidden.index_select(0, own), dense.head, {}}});
  }
  input.teacher = parted;
  const auto got = (*sum)(input);
  expect_close(got, gradients_of(got, input), whole, gradients);
}

// The mean of the losses to two teachers, each worked out by itself.
TEST(WeightedSum, PartsOverAllRowsCountByTheirWeight) {
  const auto sum = kl_and_cross_entropy();
  auto input = testing::random_loss_input(20, 40, at::kDouble);
  const types::TeacherSignal first = input.teacher;
  const types::TeacherSignal second = testing::random_loss_input(20, 40, at::kDouble).teacher;
  const auto a = (*sum)(input);
  const auto grad_a = gradients_of(a, input);
  input.teacher = second;
  const auto b = (*sum)(input);
  const auto grad_b = gradients_of(b, input);
  types::LossValue expected{0.75 * a.sum + 0.25 * b.sum, a.count, a.parts};
  for (std::size_t i = 0; i < a.parts.size(); ++i) {
    expected.parts[i].sum = 0.75 * a.parts[i].sum + 0.25 * b.parts[i].sum;
  }
  input.teacher = types::PartedSignal{{{{}, 0.75, first}, {{}, 0.25, second}}};
  const auto got = (*sum)(input);
  expect_close(got, gradients_of(got, input), expected,
               {0.75 * grad_a[0] + 0.25 * grad_b[0], 0.75 * grad_a[1] + 0.25 * grad_b[1]});
}

TEST(WeightedSum, NeedsAtLeastOne) {
  EXPECT_EQ(testing::message_of<ConfigError>([] { make_weighted_sum({}); }),
            "`loss` lists no kind, a run needs at least one, for example forward_kl");
}

}  // namespace
}  // namespace distill::losses
