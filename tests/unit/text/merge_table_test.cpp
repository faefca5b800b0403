#include "text/merge_table.h"

#include <gtest/gtest.h>

#include <distill/core/random.h>

#include "text/char_merges.h"

namespace distill::text::detail {
namespace {

/// The definition: the lowest rank anywhere, the leftmost of it, until there is none.
std::vector<std::int32_t> merge_slowly(const std::vector<MergeRule>& rules,
                                       std::vector<std::int32_t> ids) {
  while (true) {
    const MergeRule* best = nullptr;
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const MergeRule* found = nullptr;  // the last rule of a pair counts
      for (const MergeRule& rule : rules) {
        if (rule.left == ids[i] && rule.right == ids[i + 1]) found = &rule;
      }
      if (found && (!best || found->rank < best->rank)) {
        best = found;
        place = i;
      }
    }
    if (!best) return ids;
    ids[place] = best->result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

TEST(MergeTable, EqualsTheDefinitionForShortAndLongWords) {
  core::RandomState random(7);
  for (int trial = 0; trial < 60; ++trial) {
    // Tokens are texts over {a, b, c}; each rule joins two that are there.
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::vector<MergeRule> rules;
    for (std::int32_t rank = 0; rank < 25; ++rank) {
      const auto left = static_cast<std::int32_t>(random.below(tokens.size()));
      const auto right = static_cast<std::int32_t>(random.below(tokens.size()));
      const std::string text =
          tokens[static_cast<std::size_t>(left)] + tokens[static_cast<std::size_t>(right)];
      auto found = std::find(tokens.begin(), tokens.end(), text);
      if (found == tokens.end()) found = tokens.insert(tokens.end(), text);
      rules.push_back({left, right, rank, static_cast<std::int32_t>(found - tokens.begin())});
    }
    const MergeTable table(rules, tokens.size());
    for (const std::size_t length : {0, 1, 2, 5, 24, 25, 60}) {
      std::vector<std::int32_t> ids;
      std::vector<Symbol> symbols = {{99, 0, 0}};  // what was there before stays
      for (std::size_t i = 0; i < length; ++i) {
        ids.push_back(static_cast<std::int32_t>(random.below(3)));
        symbols.push_back({ids.back(), i, i + 1});
      }
      apply_merges(table, symbols, 1);
      std::vector<std::int32_t> merged;
      std::size_t at = 0;
      for (std::size_t i = 1; i < symbols.size(); ++i) {
        merged.push_back(symbols[i].id);
        EXPECT_EQ(symbols[i].begin, at);
        at = symbols[i].end;
        EXPECT_EQ(at - symbols[i].begin, tokens[static_cast<std::size_t>(symbols[i].id)].size());
      }
      EXPECT_EQ(at, length);
      EXPECT_EQ(merged, merge_slowly(rules, ids));
      EXPECT_EQ(symbols[0].id, 99);
    }
  }
}

TEST(MergeTable, OfADoubledPairTheLastRankCounts) {
  const MergeTable table({{0, 1, 0, 5}, {1, 2, 1, 6}, {0, 1, 2, 5}}, 7);
  ASSERT_NE(table.find(0, 1), nullptr);
  EXPECT_EQ(table.find(0, 1)->rank, 2);
  EXPECT_EQ(table.find(1, 0), nullptr);
  std::vector<Symbol> symbols = {{0, 0, 1}, {1, 1, 2}, {2, 2, 3}};
  apply_merges(table, symbols, 0);
  ASSERT_EQ(symbols.size(), 2u);
  EXPECT_EQ(symbols[1].id, 6);
}

// Bytes C3 A9 (e with acute), C3 A8, the letter a; then tokens made of them.
TEST(CharMerges, OnlyCharactersThatNothingCanBreakUp) {
  std::vector<std::string> bytes(259);
  std::array<std::int32_t, 256> byte_ids{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    bytes[byte] = std::string(1, static_cast<char>(byte));
    byte_ids[byte] = static_cast<std::int32_t>(byte);
  }
  bytes[256] = "\xC3\xA9";
  bytes[257] = "\xC3\xA8";
  bytes[258] = "a\xC3";
  const auto find = [&](std::vector<MergeRule> rules, char32_t code_point) {
    const MergeTable table(std::move(rules), 259);
    return chars_to_begin_with(table, bytes, byte_ids).always.find(code_point);
  };
  const auto find_between = [&](std::vector<MergeRule> rules, char32_t code_point) {
    const MergeTable table(std::move(rules), 259);
    return chars_to_begin_with(table, bytes, byte_ids).between.find(code_point);
  };
  const MergeRule e_acute = {0xC3, 0xA9, 1, 256};
  const MergeRule e_grave = {0xC3, 0xA8, 3, 257};
  const MergeRule across = {'a', 0xC3, 2, 258};  // breaks up the character that merges later
  EXPECT_EQ(find({e_acute, e_grave}, 0xE8), 257);
  EXPECT_EQ(find({e_acute, e_grave, across}, 0xE9), 256);
  EXPECT_EQ(find({e_acute, e_grave, across}, 0xE8), -1);
  // A merge with what comes after, and one of the whole character that is due too early.
  EXPECT_EQ(find({e_grave, {0xA8, 'a', 2, 258}}, 0xE8), -1);
  EXPECT_EQ(find({e_grave, {0xA8, 'a', 4, 258}}, 0xE8), 257);
  EXPECT_EQ(find({e_grave, {257, 'a', 2, 258}}, 0xE8), -1);
  // Where nothing breaks it up, only the order within the character counts.
  EXPECT_EQ(find_between({e_acute, e_grave, across}, 0xE8), 257);
  EXPECT_EQ(find_between({e_grave, {257, 'a', 2, 258}}, 0xE8), -1);
  byte_ids[0xA9] = -1;
  EXPECT_EQ(find({e_acute}, 0xE9), -1);
}

// Whatever a text holds, a pair is found or missed in a few steps.
TEST(MergeTable, SearchesAreShort) {
  std::vector<MergeRule> rules;
  for (std::int32_t i = 0; i < 100'000; ++i) rules.push_back({i % 317, i / 317, i, 0});
  const MergeTable table(rules, 400);
  EXPECT_LT(table.longest_search(), 64u);
  ASSERT_NE(table.find(5, 100), nullptr);
  EXPECT_EQ(table.find(5, 100)->rank, 31705);
  EXPECT_EQ(table.find(399, 399), nullptr);
  EXPECT_EQ(table.find(-1, 0), nullptr);
  EXPECT_EQ(MergeTable().find(0, 0), nullptr);
}

}  // namespace
}  // namespace distill::text::detail
