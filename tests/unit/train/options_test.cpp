#include <distill/train/forgetting.h>
#include <distill/train/options.h>

#include <limits>

#include <gtest/gtest.h>

namespace distill::train {
namespace {

template <class Options>
std::vector<std::string> problems_of(const Options& options) {
  core::Problems problems;
  validate(options, problems);
  std::vector<std::string> texts;
  for (const auto& item : problems.items()) texts.push_back(item.field + " " + item.message);
  return texts;
}

template <class Options>
std::vector<std::string> field_names() {
  struct Names : core::FieldVisitor {
    std::vector<std::string> seen;
    void field(const core::Field& field, const core::ValueRef&) override {
      EXPECT_FALSE(field.doc.empty()) << field.name;
      seen.push_back(field.name);
    }
  } names;
  Options options;
  describe(names, options);
  return names.seen;
}

using Texts = std::vector<std::string>;

TEST(TrainOptions, FieldsHaveTheRecipesNames) {
  EXPECT_EQ(field_names<AdamWOptions>(), (Texts{"lr", "betas", "eps", "weight_decay"}));
  EXPECT_EQ(field_names<ScheduleOptions>(), (Texts{"kind", "warmup_steps", "min_lr_ratio"}));
  EXPECT_EQ(field_names<CheckpointOptions>(), (Texts{"every", "keep"}));
  EXPECT_EQ(field_names<EvaluateScheduleOptions>(), (Texts{"every", "at_start", "at_end", "sets"}));
  EXPECT_EQ(field_names<ForgettingOptions>(),
            (Texts{"every", "sets", "max_drop", "react", "on_failure"}));
  EXPECT_EQ(field_names<ForgettingReaction>(),
            (Texts{"replay", "kl_weight_factor", "max_reactions"}));
}

TEST(TrainOptions, DefaultsAreValid) {
  EXPECT_EQ(problems_of(AdamWOptions{}), Texts{});
  EXPECT_EQ(problems_of(ScheduleOptions{}), Texts{});
  EXPECT_EQ(problems_of(CheckpointOptions{}), Texts{});
  EXPECT_EQ(problems_of(EvaluateScheduleOptions{}), Texts{});
}

TEST(TrainOptions, ForgettingNamesEveryProblem) {
  EXPECT_EQ(problems_of(ForgettingOptions{.every = 1}), Texts{});
  EXPECT_EQ(
      problems_of(ForgettingOptions{.max_drop = -0.1}),
      (Texts{"every must be at least 1, it is 0", "max_drop must not be negative, it is -0.1"}));
  EXPECT_EQ(problems_of(ForgettingReaction{.kl_weight_factor = 2}), Texts{});
  EXPECT_EQ(problems_of(ForgettingReaction{.kl_weight_factor = 0, .max_reactions = 0}),
            (Texts{"kl_weight_factor must be above 0 and at most 1000, it is 0",
                   "max_reactions must be from 1 to 100, it is 0"}));
  EXPECT_EQ(problems_of(ForgettingReaction{}).size(), 1u);
}

TEST(TrainOptions, AdamWNamesEveryProblem) {
  EXPECT_EQ(
      problems_of(AdamWOptions{.lr = 0, .betas = {0.9, 1.0}, .eps = -1, .weight_decay = -2}),
      (Texts{"lr must be above 0, it is 0", "betas each must be at least 0 and below 1, one is 1",
             "eps must be above 0, it is -1", "weight_decay must not be negative, it is -2"}));
  EXPECT_EQ(problems_of(AdamWOptions{.betas = {0.9}}),
            (Texts{"betas must hold two numbers, it holds 1"}));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(
      problems_of(AdamWOptions{.lr = nan, .betas = {nan, 0.9}, .eps = nan, .weight_decay = nan})
          .size(),
      4u);
}

TEST(TrainOptions, OtherRanges) {
  EXPECT_EQ(problems_of(ScheduleOptions{.warmup_steps = -1, .min_lr_ratio = 1.5}),
            (Texts{"warmup_steps must be at least 0, it is -1",
                   "min_lr_ratio must be between 0 and 1, it is 1.5"}));
  EXPECT_EQ(problems_of(CheckpointOptions{.every = -1, .keep = 0}),
            (Texts{"every must be at least 0, it is -1", "keep must be at least 1, it is 0"}));
  EXPECT_EQ(problems_of(EvaluateScheduleOptions{.every = -3}),
            (Texts{"every must be at least 0, it is -3"}));
}

}  // namespace
}  // namespace distill::train
