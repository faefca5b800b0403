#include <limits>

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <distill/losses/adaptive_kl.h>
#include <distill/losses/cross_entropy.h>
#include <distill/losses/forward_kl.h>
#include <distill/losses/jsd.h>
#include <distill/losses/reverse_kl.h>
#include <distill/losses/skew_forward_kl.h>
#include <distill/losses/skew_reverse_kl.h>
#include <distill/losses/symmetric_kl.h>
#include <distill/losses/tvd.h>
#include <distill/losses/weighted_sum.h>

#include "support/divergence_oracle.h"
#include "support/loss_input.h"
#include "support/temp_folder.h"
#include "support/tolerance.h"

namespace distill::losses {
namespace {

using testing::divergence_oracle;
using testing::message_of;
using testing::relative_error;

void expect_definition(const Loss& loss, const ops::LogitTerm& term) {
  for (const auto type : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const auto tolerance = testing::tolerance_of(type);
    const auto input = testing::random_loss_input(31, 57, type);
    const auto expected = divergence_oracle(testing::as_op_input(input), std::vector{term});
    const auto value = loss(input);
    EXPECT_EQ(value.count, 21);
    ASSERT_EQ(value.parts.size(), 1u);
    EXPECT_EQ(value.parts[0].name, loss.name());
    EXPECT_NEAR(value.sum.item<double>(), expected.total, tolerance.value * expected.total);
    EXPECT_NEAR(value.parts[0].sum.item<double>(), expected.term_sums[0],
                tolerance.value * expected.term_sums[0]);
    value.sum.backward();
    EXPECT_LE(relative_error(input.student.hidden.grad(), expected.hidden_grad),
              tolerance.gradient);
    EXPECT_LE(relative_error(input.student.head.grad(), expected.head_grad), tolerance.gradient);
  }
}

TEST(ForwardKl, IsItsDefinition) {
  expect_definition(ForwardKl({.weight = 0.7, .temperature = 2.0}),
                    {ops::LogitTermKind::kForwardKl, 0.7, 2.0, true});
  expect_definition(ForwardKl({.temperature = 2.0, .scale_by_t2 = false}),
                    {ops::LogitTermKind::kForwardKl, 1.0, 2.0, false});
}

TEST(ForwardKl, DefaultsAreTemperatureThreeAndTSquared) {
  expect_definition(ForwardKl({}), {ops::LogitTermKind::kForwardKl, 1.0, 3.0, true});
}

TEST(CrossEntropy, IsItsDefinition) {
  expect_definition(CrossEntropy({.weight = 0.3}), {ops::LogitTermKind::kCrossEntropy, 0.3});
}

ops::LogitTerm term_with_beta(ops::LogitTermKind kind, double weight, double t, double beta) {
  ops::LogitTerm term{kind, weight, t, true};
  term.beta = beta;
  return term;
}

TEST(LogitLosses, AreTheirDefinitions) {
  using Kind = ops::LogitTermKind;
  expect_definition(ReverseKl({.weight = 0.7, .temperature = 2.0}), {Kind::kReverseKl, 0.7, 2.0});
  expect_definition(Tvd({}), {Kind::kTvd, 1.0, 3.0});
  expect_definition(AdaptiveKl({.temperature = 1.0}), {Kind::kAdaptiveKl, 1.0, 1.0});
  expect_definition(Jsd({}), term_with_beta(Kind::kJsd, 1.0, 3.0, 0.5));
  expect_definition(Jsd({.temperature = 2.0, .beta = 0.2}), term_with_beta(Kind::kJsd, 1, 2, 0.2));
  expect_definition(SkewForwardKl({}), term_with_beta(Kind::kSkewForwardKl, 1.0, 3.0, 0.1));
  expect_definition(SkewReverseKl({.alpha = 0.3}),
                    term_with_beta(Kind::kSkewReverseKl, 1.0, 3.0, 0.3));
  ops::LogitTerm symmetric{Kind::kSymmetricKl, 1.0, 3.0};
  symmetric.forward_weight = 0.5;
  symmetric.reverse_weight = 0.25;
  expect_definition(SymmetricKl({.reverse_weight = 0.25}), symmetric);
  ops::LogitTerm smoothed{Kind::kCrossEntropy, 0.5};
  smoothed.label_smoothing = 0.1;
  smoothed.z_loss = 1e-3;
  expect_definition(CrossEntropy({.weight = 0.5, .label_smoothing = 0.1, .z_loss = 1e-3}),
                    smoothed);
}

TEST(LogitLosses, WeighTokens) {
  auto input = testing::random_loss_input(9, 40, at::kFloat);
  const double whole = Jsd({})(input).sum.item<double>();
  input.weights = at::full({9}, 0.5);
  EXPECT_NEAR(Jsd({})(input).sum.item<double>(), 0.5 * whole, 1e-6 * whole);
}

TEST(LogitLosses, SayWhetherTheyNeedATeacher) {
  EXPECT_TRUE(ForwardKl({}).needs_teacher());
  EXPECT_FALSE(CrossEntropy({}).needs_teacher());
  auto input = testing::random_loss_input(5, 7, at::kFloat);
  input.teacher = {};
  EXPECT_GT(CrossEntropy({})(input).sum.item<double>(), 0.0);
  EXPECT_THROW(ForwardKl({})(input), c10::Error);
}

TEST(LogitLosses, WarnOfATopKTeacherAtAnotherTemperature) {
  const types::TopKLogProbs served{at::zeros({3, 8}, at::kLong), at::zeros({3, 8}), 100, 1.0};
  const LogitLoss<ForwardKlOptions> hot({});
  ASSERT_EQ(hot.warnings(served).size(), 1U);
  EXPECT_EQ(hot.warnings(served)[0],
            "`forward_kl` has temperature 3, the teacher's top 8 log-probabilities have 1: its "
            "other ids are taken to be equally likely, the loss is approximate; a higher top_k or "
            "temperature 1 for the loss makes it better");
  EXPECT_TRUE(hot.warnings(types::DenseHidden{}).empty());
  EXPECT_TRUE(LogitLoss<ForwardKlOptions>({.temperature = 1.0}).warnings(served).empty());
  EXPECT_TRUE(LogitLoss<CrossEntropyOptions>({}).warnings(served).empty());

  std::vector<std::unique_ptr<Loss>> losses;
  losses.push_back(std::make_unique<LogitLoss<ForwardKlOptions>>(ForwardKlOptions{}));
  losses.push_back(std::make_unique<LogitLoss<ForwardKlOptions>>(ForwardKlOptions{}));
  losses.push_back(std::make_unique<LogitLoss<JsdOptions>>(JsdOptions{}));
  EXPECT_EQ(make_weighted_sum(std::move(losses))->warnings(served).size(), 2U);
}

TEST(LogitLosses, RefuseBadOptions) {
  EXPECT_EQ(message_of<ConfigError>([] { ForwardKl({.temperature = 0}); }),
            "forward_kl: `temperature` must be above 0, is 0");
  EXPECT_EQ(message_of<ConfigError>([] { CrossEntropy({.weight = -1}); }),
            "cross_entropy: `weight` must be finite and not negative, is -1");
  EXPECT_EQ(message_of<ConfigError>([] { Jsd({.beta = 0}); }),
            "jsd: `beta` must be between 0 and 1, is 0; the losses forward_kl and reverse_kl are "
            "near its ends");
  EXPECT_EQ(message_of<ConfigError>([] { SkewForwardKl({.alpha = 1}); }),
            "skew_forward_kl: `alpha` must be between 0 and 1, is 1; 0 is the loss forward_kl");
  EXPECT_EQ(message_of<ConfigError>([] { SymmetricKl({.forward_weight = -1}); }),
            "symmetric_kl: `forward_weight` must be finite and not negative, is -1");
  EXPECT_EQ(message_of<ConfigError>([] { CrossEntropy({.label_smoothing = 1}); }),
            "cross_entropy: `label_smoothing` must be from 0 to below 1, is 1");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(message_of<ConfigError>([&] { ForwardKl({.weight = nan, .temperature = nan}); }),
            "forward_kl: `weight` must be finite and not negative, is nan\n"
            "forward_kl: `temperature` must be above 0, is nan");
}

}  // namespace
}  // namespace distill::losses
