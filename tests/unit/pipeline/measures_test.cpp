#include <distill/pipeline/measures.h>

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {
namespace {

using Names = std::vector<std::string>;

eval::Evaluation evaluation(double perplexity, double kl, double agreement) {
  eval::Evaluation e;
  e.perplexity = perplexity;
  e.teacher_perplexity = 8;
  e.kl_to_teacher = kl;
  e.top1_agreement = agreement;
  return e;
}

Names names_of(const std::map<std::string, double>& measured) {
  Names names;
  for (const auto& [name, value] : measured) names.push_back(name);
  return names;
}

TEST(Measures, ChangesForTheWorseAreAboveZero) {
  Report report;
  report.before = evaluation(20, 0.5, 0.8);
  report.after = evaluation(25, 0.25, 0.6);
  const std::map<std::string, double> expected = {
      {"perplexity", 25},           {"perplexity_rise", 0.25},    {"teacher_perplexity", 8},
      {"kl_to_teacher", 0.25},      {"kl_to_teacher_rise", -0.5}, {"top1_agreement", 0.6},
      {"top1_agreement_drop", 0.25}};
  const auto found = measures(report);
  ASSERT_EQ(names_of(found), names_of(expected));
  for (const auto& [name, value] : expected) EXPECT_DOUBLE_EQ(found.at(name), value) << name;
}

TEST(Measures, WhatWasNotMeasuredIsNotThere) {
  Report report;
  EXPECT_TRUE(measures(report).empty());
  report.before = evaluation(20, 0.5, 0.8);
  EXPECT_TRUE(measures(report).empty());
  report.after = report.before;
  report.after->kl_to_teacher.reset();
  EXPECT_FALSE(measures(report).contains("kl_to_teacher_rise"));
  report.before.reset();
  EXPECT_FALSE(measures(report).contains("perplexity_rise"));
  EXPECT_TRUE(measures(report).contains("perplexity"));
}

TEST(Measures, FromNothingAChangeIsInfiniteAndNoChangeIsNone) {
  Report report;
  report.before = evaluation(20, 0, 0.5);
  report.after = evaluation(20, 0, 0.5);
  EXPECT_EQ(measures(report).at("kl_to_teacher_rise"), 0);
  report.after->kl_to_teacher = 0.1;
  EXPECT_EQ(measures(report).at("kl_to_teacher_rise"), std::numeric_limits<double>::infinity());
  report.after->perplexity = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(measures(report).at("perplexity_rise") < 1e300);
}

TEST(MeasuredNames, AreThoseOfTheRunItself) {
  TinyRun tiny;
  const Names local = {"kl_to_teacher",      "kl_to_teacher_rise", "perplexity",
                       "perplexity_rise",    "teacher_perplexity", "top1_agreement",
                       "top1_agreement_drop"};
  for (const Names& overrides :
       {Names{"train.steps=3"}, Names{"train.steps=3", "evaluate.at_start=false"},
        Names{"train.steps=3", "evaluate={at_end: false}"}}) {
    const auto result = tiny.run(overrides, StartPolicy::kRestart);
    EXPECT_EQ(measured_names(tiny.recipe(overrides)), names_of(measures(result.report)));
  }
  EXPECT_EQ(measured_names(tiny.recipe()), local);
}

TEST(MeasuredNames, DependOnWhatTheTeacherSays) {
  TinyRun tiny;
  EXPECT_EQ(measured_names(tiny.recipe({"data.eval=[]", "evaluate={every: 0}"})), Names{});
  const Names alone = {"student={model: " + kModel.string() + "}", "teacher={kind: none}",
                       "loss=[{kind: cross_entropy}]"};
  EXPECT_EQ(measured_names(tiny.recipe(alone)), (Names{"perplexity", "perplexity_rise"}));
  const Names served = {"student={model: " + kModel.string() + "}",
                        "teacher={kind: server, url: \"http://127.0.0.1:1/v1\", model: m}"};
  EXPECT_EQ(measured_names(tiny.recipe(served)),
            (Names{"perplexity", "perplexity_rise", "top1_agreement", "top1_agreement_drop",
                   "top_k_kl_to_teacher", "top_k_kl_to_teacher_rise"}));
  const Names across = {"loss=[{kind: alm}]"};
  EXPECT_EQ(measured_names(tiny.recipe(across)), (Names{"perplexity", "perplexity_rise"}));
  const Names cache = {"teacher={kind: cache, path: no/such, model: " + kModel.string() + "}"};
  EXPECT_NE(message_of<InputError>([&] { measured_names(tiny.recipe(cache)); }).find("no/such"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::pipeline::testing
