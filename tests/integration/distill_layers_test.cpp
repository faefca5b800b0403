// `distill layers`: the choice as a recipe takes it, and what is refused.
#include <string>
#include <vector>

#include "integration/distill_command.h"

namespace distill::testing {
namespace {

ProgramResult layers(std::vector<std::string> more) {
  more.insert(more.begin(), {"layers", "--model", tiny(), "--device", "cpu", "--data",
                             (tiny_model() / "train.jsonl").string(), "--sequence-length", "32"});
  return distill(more);
}

TEST(DistillLayers, TheChoiceIsTakenByARecipe) {
  const auto result = layers({"--keep", "2", "--tokens", "400"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("evenly spaced  KL "), std::string::npos) << result.out;
  const std::string line = "  init: {from: teacher, keep_layers: [0, ";
  const auto found = result.out.find(line);
  ASSERT_NE(found, std::string::npos) << result.out;
  const auto begin = found + 2;
  std::string init = result.out.substr(begin, result.out.find('\n', begin) - begin);
  init.replace(0, std::string("init: ").size(), "student.init=");
  TinyRun tiny_run;
  const auto run = tiny_run.train({init, "--dry-run"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
}

TEST(DistillLayers, JsonHasTheLayersAndTheirKl) {
  const auto result = layers({"--keep", "1", "--tokens", "400", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto value = io::parse_json(result.out, "out");
  const io::JsonCursor report(value, "out");
  EXPECT_EQ(report.at("best").at("layers").size(), 1u);
  EXPECT_GT(report.at("best").at("kl").as_double(), 0);
  EXPECT_LE(report.at("best").at("kl").as_double(), report.at("even").at("kl").as_double());
}

TEST(DistillLayers, WhatCannotBeChosenIsOneLine) {
  const auto many = layers({"--keep", "99", "--tokens", "400"});
  EXPECT_EQ(many.exit_code, 2);
  EXPECT_NE(many.err.find("--keep 99: "), std::string::npos) << many.err;
  const auto few = layers({"--keep", "1", "--tokens", "40"});
  EXPECT_EQ(few.exit_code, 2);
  EXPECT_NE(few.err.find("at least 5 sequences"), std::string::npos) << few.err;
}

}  // namespace
}  // namespace distill::testing
