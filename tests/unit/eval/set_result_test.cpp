#include <distill/eval/set_result.h>

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/random.h>
#include "eval/figures.h"
#include "eval/interval.h"
#include "support/temp_folder.h"

namespace distill::eval {
namespace {

SetResult choices(const std::vector<int>& right) {
  SetResult result{.kind = SetKind::kChoice};
  for (const int value : right) {
    RowValues values = {};
    values[ChoiceValues::kRows] = 1;
    values[ChoiceValues::kRight] = value;
    result.rows.push_back(values);
  }
  return result;
}

/// Rows that are right with probability `share`, and of both models alike where `luck` is the same.
std::vector<int> answers(std::size_t rows, double share, std::uint64_t luck) {
  core::RandomState random(luck);
  std::vector<int> right;
  for (std::size_t i = 0; i < rows; ++i) right.push_back(random.uniform() < share ? 1 : 0);
  return right;
}

// As R gives them: prop.test(8, 10, correct = FALSE), and of 0 of 10.
TEST(Interval, WilsonsProducesRsValues) {
  EXPECT_NEAR(wilson(0.8, 10).low, 0.4901625, 1e-6);
  EXPECT_NEAR(wilson(0.8, 10).high, 0.9433178, 1e-6);
  EXPECT_EQ(wilson(0, 10).low, 0);
  EXPECT_NEAR(wilson(0, 10).high, 0.2775328, 1e-6);
  EXPECT_EQ(wilson(0, 0).high, 1);
}

TEST(Interval, TheMiddleOfTheValues) {
  std::vector<double> values;
  for (int i = 1000; i >= 0; --i) values.push_back(i);
  EXPECT_DOUBLE_EQ(middle(values).low, 25);
  EXPECT_DOUBLE_EQ(middle(values).high, 975);
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  EXPECT_EQ(middle({kInfinite, kInfinite}).high, kInfinite);
  EXPECT_TRUE(std::isnan(middle({std::nan(""), std::nan(""), 1}).low));
  EXPECT_TRUE(std::isnan(middle({}).low));
}

TEST(SetResult, ASharesIntervalIsWilsons) {
  const auto found = estimates(choices({1, 1, 1, 1, 0, 1, 1, 1, 1, 0}));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].name, "accuracy");
  EXPECT_DOUBLE_EQ(found[0].value, 0.8);
  EXPECT_NEAR(found[0].low, 0.4901625, 1e-6);
  EXPECT_EQ(found[1].name, "accuracy_norm");
  EXPECT_EQ(found[1].value, 0);
}

// The mean of independent rows: the normal approximation is the oracle.
TEST(SetResult, ADifferencesIntervalIsOfTheRowsDifferences) {
  constexpr std::size_t kRows = 800;
  const auto one = answers(kRows, 0.6, 1);
  const auto other = answers(kRows, 0.7, 2);
  double mean = 0, square = 0;
  for (std::size_t i = 0; i < kRows; ++i) {
    const double d = one[i] - other[i];
    mean += d / kRows;
    square += d * d / kRows;
  }
  const double error = std::sqrt((square - mean * mean) / kRows);
  const auto found = differences(choices(one), choices(other)).front();
  EXPECT_NEAR(found.value, mean, 1e-12);
  EXPECT_NEAR(found.low, mean - 1.96 * error, 0.2 * error);
  EXPECT_NEAR(found.high, mean + 1.96 * error, 0.2 * error);
}

TEST(SetResult, ModelsThatAreAlikeOnEachRowAreToldApart) {
  const auto one = choices(answers(800, 0.60, 5));
  const auto other = choices(answers(800, 0.65, 5));  // right wherever the first is
  const auto paired = differences(one, other).front();
  const auto apart = differences(one, choices(answers(800, 0.65, 6))).front();
  EXPECT_LT(paired.high, 0);
  EXPECT_LT(paired.high - paired.low, 0.6 * (apart.high - apart.low));
  const auto same = differences(one, one).front();
  EXPECT_EQ(same.value, 0);
  EXPECT_EQ(same.low, 0);
  EXPECT_EQ(same.high, 0);
}

TEST(SetResult, TheSameResultGivesTheSameIntervals) {
  const auto one = choices(answers(100, 0.6, 1));
  const auto other = choices(answers(100, 0.5, 2));
  EXPECT_EQ(differences(one, other).front().low, differences(one, other).front().low);
}

TEST(SetResult, PerplexityIsOfAllTokensTogether) {
  SetResult result;
  for (const auto& [nll, tokens] : {std::pair(30.0, 10.0), {5.0, 5.0}, {0.0, 0.0}}) {
    RowValues values = {};
    values[PerplexityValues::kNll] = nll;
    values[PerplexityValues::kTokens] = tokens;
    result.rows.push_back(values);
  }
  const auto found = estimates(result).front();
  EXPECT_NEAR(found.value, std::exp(35.0 / 15), 1e-12);
  EXPECT_LE(found.low, found.value);
  EXPECT_GE(found.high, found.value);
}

TEST(SetResult, CategoriesAreInOrderAndApart) {
  auto result = choices({1, 0, 1, 1});
  result.categories = {"b", "a"};
  result.row_categories = {0, 0, 1, 0};
  const auto found = estimates_by_category(result);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].name, "a");
  EXPECT_EQ(found[0].rows, 1);
  EXPECT_EQ(found[0].figures[0].value, 1);
  EXPECT_EQ(found[1].rows, 3);
  EXPECT_NEAR(found[1].figures[0].value, 2.0 / 3, 1e-12);
  const auto apart = differences_by_category(result, result);
  EXPECT_EQ(apart[1].name, "b");
  EXPECT_EQ(apart[1].figures[0].value, 0);
}

TEST(SetResult, OtherRowsCannotBeCompared) {
  EXPECT_EQ(testing::message_of<InputError>([] {
              differences(choices({1}), choices({1, 0}));
            }),
            "results of 1 and 2 rows cannot be compared; measure both models on the same set");
}

}  // namespace
}  // namespace distill::eval
