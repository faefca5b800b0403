#include "pipeline/forgetting_state.h"

#include <cmath>
#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include "support/temp_folder.h"

namespace distill::pipeline {
namespace {

ForgettingLook look(std::int64_t step, std::int64_t reactions, double drop) {
  return {step, reactions, {{"a", 0.0}, {"b", drop}}};
}

/// Good at 10, too bad at 20, back to 10; good at 20, too bad at 30, back to 20; good at 30.
ForgettingState history() {
  ForgettingState state;
  state.looks = {look(10, 0, 0.01), look(20, 0, 0.2), look(20, 1, 0.04), look(30, 1, 0.3),
                 look(30, 2, 0.02)};
  state.reactions = {{20, 10, "b", 0.2}, {30, 20, "b", 0.3}};
  return state;
}

TEST(ForgettingState, LooksAtStepsThatWereGivenUpDoNotCount) {
  const ForgettingState state = history();
  EXPECT_EQ(state.look_at(10)->reactions, 0);
  EXPECT_EQ(state.look_at(20)->reactions, 1);
  EXPECT_EQ(state.look_at(30)->reactions, 2);
  EXPECT_EQ(state.look_at(40), nullptr);
  EXPECT_EQ(state.newest_look()->step, 30);
}

TEST(ForgettingState, TheNewestGoodStepIsWhereTheRunGoesBackTo) {
  ForgettingState state;
  EXPECT_EQ(state.good_step(0.05), 0);
  EXPECT_EQ(state.newest_look(), nullptr);
  state = history();
  EXPECT_EQ(state.good_step(0.05), 30);
  EXPECT_EQ(state.good_step(0.03), 30);
  EXPECT_EQ(state.good_step(0.015), 10);
  EXPECT_EQ(state.good_step(0.001), 0);
  state.looks.pop_back();
  EXPECT_EQ(state.good_step(0.05), 20);
  state.reactions.push_back({20, 0, "b", 0.1});
  EXPECT_EQ(state.look_at(10), nullptr);
  EXPECT_EQ(state.good_step(0.05), 0);
}

TEST(ForgettingState, TheWorstIsTheLargestDropAndNoNumberIsWorse) {
  ForgettingLook seen{1, 0, {{"a", -0.1}, {"b", 0.2}, {"c", 0.1}}};
  EXPECT_EQ(seen.worst().first, "b");
  seen.drops[2].second = std::nan("");
  EXPECT_EQ(seen.worst().first, "c");
  EXPECT_FALSE(seen.worst().second <= 0.05);
}

TEST(ForgettingState, GivesBackWhatWasWritten) {
  const testing::TempFolder folder;
  EXPECT_TRUE(read_forgetting(folder / "none.json").looks.empty());
  ForgettingState state = history();
  state.looks[0].drops[0].second = std::nan("");
  write_forgetting(folder / "f.json", state);
  const ForgettingState back = read_forgetting(folder / "f.json");
  ASSERT_EQ(back.looks.size(), 5u);
  EXPECT_TRUE(std::isnan(back.looks[0].drops[0].second));
  EXPECT_EQ(back.looks[3].drops, state.looks[3].drops);
  EXPECT_EQ(back.num_reactions(), 2);
  EXPECT_EQ(back.reactions[1].back_to, 20);
  EXPECT_EQ(back.reactions[1].drop, 0.3);
}

TEST(ForgettingState, DamagedFilesAreRefused) {
  const testing::TempFolder folder;
  write_forgetting(folder / "f.json", history());
  const std::string text = core::read_file(folder / "f.json", 1 << 20);
  for (std::size_t length = 0; length + 3 < text.size(); length += 11) {
    std::ofstream(folder / "f.json", std::ios::trunc) << text.substr(0, length);
    EXPECT_THROW(read_forgetting(folder / "f.json"), FormatError) << length;
  }
  std::string other = text;
  other.replace(other.find("\"back_to\": 10"), 13, "\"back_to\": -1");
  std::ofstream(folder / "f.json", std::ios::trunc) << other;
  EXPECT_THROW(read_forgetting(folder / "f.json"), FormatError);
}

}  // namespace
}  // namespace distill::pipeline
