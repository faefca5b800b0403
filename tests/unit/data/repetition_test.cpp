#include "data/repetition.h"

#include <map>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include "support/temp_folder.h"

namespace distill::data {
namespace {

std::vector<Span> documents(std::int64_t first, std::int64_t count) {
  std::vector<Span> spans;
  for (std::int64_t i = 0; i < count; ++i) spans.push_back({first + i, 1});
  return spans;
}

std::map<std::int64_t, int> copies(const std::vector<Span>& epoch) {
  std::map<std::int64_t, int> count;
  for (const Span& span : epoch) ++count[span.begin];
  return count;
}

TEST(Repetition, EqualWeightsOfAnySizeChangeNothing) {
  for (const double weight : {1.0, 0.1, 7.5}) {
    EXPECT_EQ(repeat_by_weight({{documents(0, 3), weight}, {documents(3, 2), weight}}),
              documents(0, 5));
  }
}

TEST(Repetition, TheLightestFileIsSeenOnceAndOthersInProportion) {
  const auto epoch = repeat_by_weight({{documents(0, 4), 0.5}, {documents(100, 10), 1.25}});
  const auto count = copies(epoch);
  int twice = 0;
  int thrice = 0;
  for (const auto& [begin, times] : count) {
    if (begin < 100) {
      EXPECT_EQ(times, 1) << begin;
    } else {
      twice += times == 2;
      thrice += times == 3;
    }
  }
  EXPECT_EQ(twice, 5);
  EXPECT_EQ(thrice, 5);
  EXPECT_EQ(epoch.size(), 4u + 25u);
}

TEST(Repetition, CopiesComeInRounds) {
  const auto epoch = repeat_by_weight({{documents(0, 2), 2}, {documents(10, 2), 1}});
  EXPECT_EQ(epoch, (std::vector<Span>{{0, 1}, {1, 1}, {10, 1}, {11, 1}, {0, 1}, {1, 1}}));
}

TEST(Repetition, RatiosThatAreNotExactInBinaryAreMet) {
  const auto count = copies(repeat_by_weight({{documents(0, 5), 0.1}, {documents(10, 5), 0.3}}));
  for (std::int64_t i = 10; i < 15; ++i) EXPECT_EQ(count.at(i), 3) << i;
}

TEST(Repetition, TheChoiceIsAlwaysTheSame) {
  const std::vector<WeightedDocuments> files = {{documents(0, 50), 1}, {documents(100, 50), 1.5}};
  const auto first = repeat_by_weight(files);
  EXPECT_EQ(first, repeat_by_weight(files));
  EXPECT_EQ(first.size(), 125u);
  // Not simply the first half.
  std::int64_t highest = 0;
  for (std::size_t i = 100; i < first.size(); ++i) highest = std::max(highest, first[i].begin);
  EXPECT_GT(highest, 124);
}

TEST(Repetition, CopiesAreCountedBeforeTheyAreMade) {
  const std::vector<Span> many(std::size_t{1} << 20, Span{0, 1});
  EXPECT_NE(testing::message_of<ConfigError>([&] {
              repeat_by_weight({{many, 1000}, {documents(0, 1), 1}});
            }).find("the weights ask for "),
            std::string::npos);
}

}  // namespace
}  // namespace distill::data
