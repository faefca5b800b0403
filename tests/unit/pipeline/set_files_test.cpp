#include "pipeline/set_files.h"

#include <cmath>
#include <fstream>
#include <limits>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/pipeline/report.h>
#include "support/temp_folder.h"

namespace distill::pipeline {
namespace {

/// Rows of two categories with values that tell places apart, one of them not finite.
eval::SetResult result_of(eval::SetKind kind) {
  eval::SetResult result{.kind = kind, .categories = {"b", "a"}, .row_categories = {0, 1, 0}};
  for (int row = 0; row < 3; ++row) {
    eval::RowValues values = {};
    for (std::size_t i = 0; i < eval::num_values(kind); ++i) {
      values[i] = 1.0 / (1 + row + static_cast<double>(i));
    }
    result.rows.push_back(values);
  }
  result.rows[1][0] = std::numeric_limits<double>::quiet_NaN();
  result.cut = 2;
  result.seconds = 0.1;
  return result;
}

constexpr eval::SetKind kKinds[] = {eval::SetKind::kPerplexity, eval::SetKind::kChoice,
                                    eval::SetKind::kPairs, eval::SetKind::kQuestions};

TEST(SetFiles, GiveBackEveryBit) {
  const testing::TempFolder folder;
  SetResults results;
  for (const auto kind : kKinds) {
    results.emplace_back(core::concat("z", static_cast<int>(kind)), result_of(kind));
  }
  write_set_results(folder / "s.json", results);
  const auto back = read_set_results(folder / "s.json");
  ASSERT_EQ(back.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(back[i].first, results[i].first);
    const auto& [one, other] = std::tie(back[i].second, results[i].second);
    EXPECT_EQ(one.kind, other.kind);
    EXPECT_EQ(one.categories, other.categories);
    EXPECT_EQ(one.row_categories, other.row_categories);
    EXPECT_EQ(one.cut, other.cut);
    EXPECT_EQ(one.seconds, other.seconds);
    EXPECT_TRUE(std::isnan(one.rows[1][0]));
    EXPECT_EQ(one.rows[0], other.rows[0]);
    EXPECT_EQ(one.rows[2], other.rows[2]);
  }
  EXPECT_NE(find_set(back, "z2"), nullptr);
  EXPECT_EQ(find_set(back, "y"), nullptr);
}

TEST(SetFiles, DamagedOnesAreRefused) {
  const testing::TempFolder folder;
  write_set_results(folder / "s.json", {{"x", result_of(eval::SetKind::kChoice)}});
  const std::string text = core::read_file(folder / "s.json", 1 << 20);
  for (std::size_t length = 0; length + 3 < text.size(); length += 5) {
    std::ofstream(folder / "s.json", std::ios::trunc) << text.substr(0, length);
    EXPECT_THROW(read_set_results(folder / "s.json"), FormatError) << length;
  }
  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    const auto place = other.find(from);
    ASSERT_NE(place, std::string::npos) << from;
    std::ofstream(folder / "s.json", std::ios::trunc) << other.replace(place, from.size(), to);
    EXPECT_THROW(read_set_results(folder / "s.json"), FormatError) << to;
  };
  refused("\"choice\"", "\"choices\"");
  refused("[0,1,0]", "[0,2,0]");
  refused("[0,1,0]", "[0,1]");
  refused("[0,1,0]", "[0,-1,0]");
  refused("\"rows\":[[", "\"rows\":[[1,");
  refused("\"format_version\":1", "\"format_version\":2");
}

TEST(SetFiles, AReportGivesBackItsSets) {
  const testing::TempFolder folder;
  Report report;
  report.name = "sets alone";
  report.teacher = ModelSize{1, 2};
  for (const auto kind : kKinds) {
    const auto result = result_of(kind);
    SetReport set{.name = core::concat("s", static_cast<int>(kind))};
    set.before = set.after = eval::summarise(result);
    if (kind != eval::SetKind::kPairs) set.teacher = eval::summarise(result);
    set.change = set.gap = eval::compare(result, result);
    report.sets.push_back(set);
  }
  core::write_file_atomically(folder / "report.json", to_json(report));
  const Report back = read_report(folder / "report.json");
  EXPECT_EQ(to_json(back), to_json(report));
  EXPECT_FALSE(back.before);
  ASSERT_EQ(back.sets.size(), 4u);
  EXPECT_EQ(back.sets[1].after->categories.size(), 2u);
}

}  // namespace
}  // namespace distill::pipeline
