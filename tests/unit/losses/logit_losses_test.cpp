#include <limits>

#include <gtest/gtest.h>

#include <distill/losses/cross_entropy.h>
#include <distill/losses/forward_kl.h>

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

TEST(LogitLosses, SayWhetherTheyNeedATeacher) {
  EXPECT_TRUE(ForwardKl({}).needs_teacher());
  EXPECT_FALSE(CrossEntropy({}).needs_teacher());
  auto input = testing::random_loss_input(5, 7, at::kFloat);
  input.teacher = {};
  EXPECT_GT(CrossEntropy({})(input).sum.item<double>(), 0.0);
  EXPECT_THROW(ForwardKl({})(input), c10::Error);
}

TEST(LogitLosses, RefuseBadOptions) {
  EXPECT_EQ(message_of<ConfigError>([] { ForwardKl({.temperature = 0}); }),
            "forward_kl: `temperature` must be above 0, is 0");
  EXPECT_EQ(message_of<ConfigError>([] { CrossEntropy({.weight = -1}); }),
            "cross_entropy: `weight` must be finite and not negative, is -1");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(message_of<ConfigError>([&] { ForwardKl({.weight = nan, .temperature = nan}); }),
            "forward_kl: `weight` must be finite and not negative, is nan\n"
            "forward_kl: `temperature` must be above 0, is nan");
}

}  // namespace
}  // namespace distill::losses
