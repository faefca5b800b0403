#include "text/split_text.h"

#include <gtest/gtest.h>

namespace distill::text::detail {
namespace {

std::string split(SplitBehavior behavior, bool invert = false) {
  const std::string text = "the-final--countdown";
  std::vector<ByteRange> pieces;
  split_piece(text, {0, text.size()}, {nullptr, "-", invert}, behavior, pieces);
  std::string result;
  for (const ByteRange piece : pieces) {
    result += text.substr(piece.begin, piece.end - piece.begin) + "|";
  }
  return result;
}

// The examples of the `tokenizers` package's documentation.
TEST(SplitText, Behaviors) {
  EXPECT_EQ(split(SplitBehavior::kRemoved), "the|final|countdown|");
  EXPECT_EQ(split(SplitBehavior::kIsolated), "the|-|final|-|-|countdown|");
  EXPECT_EQ(split(SplitBehavior::kMergedWithPrevious), "the-|final-|-|countdown|");
  EXPECT_EQ(split(SplitBehavior::kMergedWithNext), "the|-final|-|-countdown|");
  EXPECT_EQ(split(SplitBehavior::kContiguous), "the|-|final|--|countdown|");
}

TEST(SplitText, Inverted) {
  EXPECT_EQ(split(SplitBehavior::kRemoved, true), "-|-|-|");
  EXPECT_EQ(split(SplitBehavior::kMergedWithNext, true), "the-|final-|-|countdown|");
}

}  // namespace
}  // namespace distill::text::detail
