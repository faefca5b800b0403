#include <distill/recipe/gate.h>

#include <limits>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/recipe/read.h>
#include <distill/recipe/write.h>
#include "support/temp_folder.h"

namespace distill::recipe {
namespace {

TEST(Gate, ReadsEveryComparison) {
  const auto below = parse_condition("kl_to_teacher < 0.4");
  EXPECT_EQ(below.measure, "kl_to_teacher");
  EXPECT_EQ(below.bound, 0.4);
  EXPECT_TRUE(below.holds(0.39));
  EXPECT_FALSE(below.holds(0.4));
  EXPECT_TRUE(parse_condition("  a<=1e-3 ").holds(1e-3));
  EXPECT_TRUE(parse_condition("a > -1").holds(0));
  EXPECT_FALSE(parse_condition("a > 0").holds(0));
  EXPECT_TRUE(parse_condition("a >= 0").holds(0));
}

TEST(Gate, WhatIsNoNumberHoldsForNothing) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const char* text : {"a < 1", "a <= 1", "a > 1", "a >= 1"}) {
    EXPECT_FALSE(parse_condition(text).holds(nan)) << text;
  }
}

TEST(Gate, RefusesWhatIsNoCondition) {
  for (const char* text : {"", "a", "< 1", "a <", "a < b", "a == 1", "a != 1", "a < 1 2", "a < nan",
                           "a < inf", "a b < 1", "a < 1e999", "a =< 1"}) {
    EXPECT_THROW(parse_condition(text), ConfigError) << text;
  }
}

const std::string kRecipe = R"(name: gated
student: {model: models/student}
teacher: {kind: none}
data: {train: [{path: a.jsonl}], eval: [{path: b.jsonl}]}
loss: [{kind: cross_entropy}]
train: {steps: 10}
gates:
)";

class GatesTest : public ::testing::Test {
 protected:
  Recipe read(const std::string& gates) {
    return read_recipe(kRecipe + gates, "r.yaml", {}, registries_);
  }
  std::string refusal(const std::string& gates) {
    return testing::message_of<ConfigError>([&] { read(gates); });
  }
  Registries registries_ = builtin_registries();
};

TEST_F(GatesTest, SettingsOfATryAreAMappingOrAListOfThem) {
  const Recipe one =
      read("  - {require: perplexity < 9, on_failure: retry, with: {train.steps: 20, seed: 3}}\n");
  ASSERT_EQ(one.gates.at(0).with.size(), 1u);
  EXPECT_EQ(one.gates[0].with[0].set, (std::vector<std::string>{"train.steps=20", "seed=3"}));
  const Recipe two = read(
      "  - require: perplexity < 9\n    on_failure: retry\n    retries: 2\n"
      "    with: [{train.steps: 20}, {'train.optimizer.betas': [0.8, 0.9]}]\n");
  ASSERT_EQ(two.gates.at(0).with.size(), 2u);
  EXPECT_EQ(two.gates[0].with[1].set, std::vector<std::string>{"train.optimizer.betas=[0.8, 0.9]"});
  const std::string text = write_recipe(two);
  EXPECT_EQ(write_recipe(read_recipe(text, "again", {}, registries_)), text);
}

TEST_F(GatesTest, AMappingOfATryChangesOnlyWhatItNames) {
  const Recipe nested = read(
      "  - require: perplexity < 9\n    on_failure: retry\n"
      "    with: {train: {steps: 20, optimizer: {lr: 0.5}}, teacher: {kind: local, model: m}}\n");
  ASSERT_EQ(nested.gates.at(0).with.size(), 1u);
  EXPECT_EQ(nested.gates[0].with[0].set,
            (std::vector<std::string>{"train.steps=20", "train.optimizer.lr=0.5",
                                      "teacher={kind: local, model: m}"}));
}

TEST_F(GatesTest, ProblemsHaveTheirLine) {
  EXPECT_NE(refusal("  - {require: perplexity is 9}\n").find("r.yaml:8: gates.0.require: is `"),
            std::string::npos);
  EXPECT_NE(refusal("  - {require: a < 1, with: {seed: 1}}\n").find("has an effect with `retry`"),
            std::string::npos);
  EXPECT_NE(refusal("  - {require: a < 1, on_failure: retry}\n").find("same settings"),
            std::string::npos);
  EXPECT_NE(refusal("  - {require: a < 1, on_failure: retry, retries: 3, with: {seed: 1}}\n")
                .find("has settings for 1"),
            std::string::npos);
}

TEST_F(GatesTest, SettingsThatCannotBeReadAreFoundAtOnce) {
  const std::string wrong =
      refusal("  - {require: a < 1, on_failure: retry, with: {train.stepz: 20}}\n");
  EXPECT_NE(wrong.find("r.yaml:8: gates.0.with.0: "), std::string::npos) << wrong;
  EXPECT_NE(wrong.find("did you mean `steps`"), std::string::npos) << wrong;
  EXPECT_NE(refusal("  - {require: a < 1, on_failure: retry, with: {output: elsewhere}}\n")
                .find("cannot be changed"),
            std::string::npos);
}

TEST_F(GatesTest, AChangedRecipeKeepsTheRest) {
  const Recipe before = read("  []\n");
  const std::vector<std::string> settings = {"train.steps=77", "loss.0.weight=0.5"};
  const Recipe after = changed_recipe(before, settings);
  EXPECT_EQ(after.train.steps, 77);
  EXPECT_EQ(recipe_differences(write_recipe(before), "", write_recipe(after)).size(), 2u);
}

}  // namespace
}  // namespace distill::recipe
