#include <distill/eval/scored_text.h>

#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include "support/byte_tokenizer.h"
#include "support/temp_folder.h"

namespace distill::eval {
namespace {

using testing::ByteTokenizer;
using Ids = std::vector<std::int64_t>;

Ids bytes(const std::string& text) {
  return ByteTokenizer().encode(text, false);
}

Ids behind(std::int64_t id, const std::string& text) {
  Ids ids = bytes(text);
  ids.insert(ids.begin(), id);
  return ids;
}

TEST(ScoredText, TokensOfTheTextAreScoredBehindTheContext) {
  const ByteTokenizer tokenizer;
  bool was_cut = false;
  const auto scored = ScoredTexts(tokenizer, 100).behind("ab", "cde", "f:1", was_cut);
  EXPECT_EQ(scored.ids, bytes("abcde"));
  EXPECT_EQ(scored.first, 2u);
  EXPECT_FALSE(was_cut);
}

TEST(ScoredText, WhatThePostProcessorAddsStaysInFront) {
  const ByteTokenizer tokenizer({.adds_bos = true});
  bool was_cut = false;
  const auto scored = ScoredTexts(tokenizer, 100).behind("ab", "c", "f:1", was_cut);
  EXPECT_EQ(scored.ids, behind(ByteTokenizer::kBos, "abc"));
  EXPECT_EQ(scored.first, 3u);
  const auto alone = ScoredTexts(tokenizer, 100).alone("ab", "f:1");
  EXPECT_EQ(alone.ids, behind(ByteTokenizer::kBos, "ab"));
  EXPECT_EQ(alone.first, 1u);
}

TEST(ScoredText, WithoutContextItBeginsBehindTheEndOfADocument) {
  const ByteTokenizer tokenizer;
  const auto alone = ScoredTexts(tokenizer, 100).alone("ab", "f:1");
  EXPECT_EQ(alone.ids, behind(ByteTokenizer::kEos, "ab"));
  EXPECT_EQ(alone.first, 1u);
  const ByteTokenizer bare({.has_eos = false});
  const auto unled = ScoredTexts(bare, 100).alone("ab", "f:1");
  EXPECT_EQ(unled.ids, bytes("ab"));  // nothing predicts the first
  EXPECT_EQ(unled.first, 1u);
}

TEST(ScoredText, AContextThatDoesNotFitLosesItsBeginning) {
  const ByteTokenizer tokenizer({.adds_bos = true});
  const ScoredTexts texts(tokenizer, 4);  // five ids: the last one is never read
  bool was_cut = false;
  EXPECT_EQ(texts.behind("ab", "cd", "f:1", was_cut).ids, behind(ByteTokenizer::kBos, "abcd"));
  EXPECT_FALSE(was_cut);
  const auto cut = texts.behind("0ab", "cd", "f:1", was_cut);
  EXPECT_EQ(cut.ids, behind(ByteTokenizer::kBos, "abcd"));
  EXPECT_EQ(cut.first, 3u);
  EXPECT_TRUE(was_cut);
  EXPECT_EQ(texts.behind("0123", "abcd", "f:1", was_cut).first, 1u);
  EXPECT_EQ(testing::message_of<FormatError>([&] { texts.behind("x", "abcde", "f:7", was_cut); }),
            "f:7: a text of 5 tokens does not fit the model's 4 positions; leave the row out");
}

TEST(ScoredText, WithoutAStartOneTokenOfTheContextIsKept) {
  const ByteTokenizer tokenizer;
  const ScoredTexts texts(tokenizer, 4);
  bool was_cut = false;
  const auto cut = texts.behind("012", "abcd", "f:1", was_cut);
  EXPECT_EQ(cut.ids, bytes("2abcd"));
  EXPECT_EQ(cut.first, 1u);
}

// "The " and "river" alone are other tokens than "The river".
TEST(ScoredText, ATokenOverTheBorderIsScoredWhole) {
  const auto tokenizer = text::load_tokenizer(std::filesystem::path(DISTILL_SOURCE_DIR) /
                                              "tests/reference/tiny_llama");
  const auto whole = tokenizer->encode_with_ranges("The river");
  ASSERT_TRUE(std::ranges::any_of(whole.ranges, [](const text::ByteRange& range) {
    return range.begin < 4 && range.end > 4;
  })) << "the tokenizer of the test has no such token";
  bool was_cut = false;
  const auto scored = ScoredTexts(*tokenizer, 100).behind("The ", "river", "f:1", was_cut);
  const auto front = scored.ids.size() - whole.ids.size();
  EXPECT_EQ(Ids(scored.ids.begin() + static_cast<std::ptrdiff_t>(front), scored.ids.end()),
            whole.ids);
  std::size_t expected = 0;
  while (whole.ranges[expected].end <= 4) ++expected;
  EXPECT_EQ(scored.first, front + expected);
}

TEST(ScoredText, NothingToScoreIsRefused) {
  const ByteTokenizer tokenizer;
  EXPECT_EQ(testing::message_of<FormatError>([&] { ScoredTexts(tokenizer, 9).alone("", "f:2"); }),
            "f:2: a text that gives no tokens cannot be scored");
}

}  // namespace
}  // namespace distill::eval
