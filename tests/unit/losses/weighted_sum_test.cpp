#include <distill/losses/weighted_sum.h>

#include <gtest/gtest.h>

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

TEST(WeightedSum, NeedsAtLeastOne) {
  EXPECT_EQ(testing::message_of<ConfigError>([] { make_weighted_sum({}); }),
            "`loss` lists no kind, a run needs at least one, for example forward_kl");
}

}  // namespace
}  // namespace distill::losses
