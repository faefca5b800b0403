#include "data/repetition.h"

#include <map>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include "support/temp_folder.h"

namespace distill::data {
namespace {

std::vector<DocumentId> documents(std::int32_t file, std::uint32_t count) {
  std::vector<DocumentId> ids;
  for (std::uint32_t i = 0; i < count; ++i) ids.push_back({file, i});
  return ids;
}

std::vector<DocumentId> joined(std::vector<DocumentId> a, const std::vector<DocumentId>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

using Copies = std::map<std::pair<std::int32_t, std::uint32_t>, int>;

Copies copies(const std::vector<DocumentId>& epoch) {
  Copies count;
  for (const DocumentId& id : epoch) ++count[{id.file, id.number}];
  return count;
}

TEST(Repetition, EqualWeightsOfAnySizeChangeNothing) {
  for (const double weight : {1.0, 0.1, 7.5}) {
    EXPECT_EQ(repeat_by_weight({{3, weight}, {2, weight}}),
              joined(documents(0, 3), documents(1, 2)));
  }
}

TEST(Repetition, TheLightestFileIsSeenOnceAndOthersInProportion) {
  const auto epoch = repeat_by_weight({{4, 0.5}, {10, 1.25}});
  int twice = 0;
  int thrice = 0;
  for (const auto& [id, times] : copies(epoch)) {
    if (id.first == 0) {
      EXPECT_EQ(times, 1) << id.second;
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
  const auto all = joined(documents(0, 2), documents(1, 2));
  EXPECT_EQ(repeat_by_weight({{2, 2}, {2, 1}}), joined(all, documents(0, 2)));
}

TEST(Repetition, RatiosThatAreNotExactInBinaryAreMet) {
  const auto count = copies(repeat_by_weight({{5, 0.1}, {5, 0.3}}));
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(count.at({1, i}), 3) << i;
}

TEST(Repetition, TheChoiceIsAlwaysTheSame) {
  const std::vector<WeightedDocuments> files = {{50, 1}, {50, 1.5}};
  const auto first = repeat_by_weight(files);
  EXPECT_EQ(first, repeat_by_weight(files));
  EXPECT_EQ(first.size(), 125u);
  // Not simply the first half.
  std::uint32_t highest = 0;
  for (std::size_t i = 100; i < first.size(); ++i) highest = std::max(highest, first[i].number);
  EXPECT_GT(highest, 24u);
}

TEST(Repetition, CopiesAreCountedBeforeTheyAreMade) {
  EXPECT_NE(testing::message_of<ConfigError>([&] {
              repeat_by_weight({{std::int64_t{1} << 20, 1000}, {1, 1}});
            }).find("the weights ask for "),
            std::string::npos);
  EXPECT_THROW(repeat_by_weight({{std::int64_t{1} << 33, 1}}), InputError);
}

}  // namespace
}  // namespace distill::data
