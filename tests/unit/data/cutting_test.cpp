#include "data/cutting.h"

#include <gtest/gtest.h>

namespace distill::data {
namespace {

TokenStore all_targets(std::size_t count) {
  TokenStore tokens;
  tokens.ids.assign(count, 7);
  tokens.is_target.assign(count, true);
  return tokens;
}

TEST(Cutting, KeepsShortDocumentsAndCutsLongOnes) {
  const auto pieces = cut(all_targets(20), {{0, 4}, {4, 5}, {9, 11}}, 4);
  // The 5-token document gives up its fourth token, so that its last one can be predicted.
  EXPECT_EQ(pieces.spans, (std::vector<Span>{{0, 4}, {4, 3}, {7, 2}, {9, 4}, {13, 4}, {17, 3}}));
  EXPECT_EQ(pieces.tokens_left_out, 0);
}

TEST(Cutting, TheLastTokenOfADocumentIsAlwaysPredicted) {
  for (std::int64_t length = 2; length < 9; ++length) {
    for (std::int64_t size = 2; size < 40; ++size) {
      const auto pieces = cut(all_targets(static_cast<std::size_t>(size)), {{0, size}}, length);
      ASSERT_FALSE(pieces.spans.empty());
      const Span last = pieces.spans.back();
      EXPECT_EQ(last.begin + last.length, size);
      EXPECT_GE(last.length, 2);
      std::int64_t total = pieces.tokens_left_out;
      for (const Span& piece : pieces.spans) {
        EXPECT_LE(piece.length, length);
        total += piece.length;
      }
      EXPECT_EQ(total, size) << "length " << length;
    }
  }
}

TEST(Cutting, LeavesOutPiecesWithoutTargets) {
  TokenStore tokens = all_targets(8);
  for (const std::size_t i : {0u, 1u, 2u, 3u}) tokens.is_target[i] = false;
  auto pieces = cut(tokens, {{0, 8}}, 4);
  EXPECT_EQ(pieces.spans, (std::vector<Span>{{4, 4}}));
  EXPECT_EQ(pieces.tokens_left_out, 4);
  // Only the first token of the second piece is a target: nothing comes before it there.
  tokens.is_target.assign(8, false);
  tokens.is_target[4] = true;
  pieces = cut(tokens, {{0, 8}}, 4);
  EXPECT_TRUE(pieces.spans.empty());
  EXPECT_EQ(pieces.tokens_left_out, 8);
}

}  // namespace
}  // namespace distill::data
