#include "data/cutting.h"

#include <gtest/gtest.h>

#include "support/token_files.h"

namespace distill::data {
namespace {

using testing::all_documents;
using testing::encoded;
using testing::token_file;

Pieces cut_all(const std::vector<EncodedDocument>& documents, const CutOptions& options) {
  return cut({token_file(documents)}, all_documents(documents.size()), options);
}

TEST(Cutting, KeepsShortDocumentsAndCutsLongOnes) {
  const auto pieces = cut_all({encoded(4), encoded(5), encoded(11)}, {.length = 4});
  // The 5-token document gives up its fourth token, so that its last one can be predicted.
  EXPECT_EQ(pieces.spans, (std::vector<Span>{{0, 4}, {4, 3}, {7, 2}, {9, 4}, {13, 4}, {17, 3}}));
  EXPECT_EQ(pieces.targets, 20 - 6);
  EXPECT_EQ(pieces.long_documents, 2);
  EXPECT_EQ(pieces.tokens_cut_off, 0);
  EXPECT_EQ(pieces.tokens_unlearned, 0);
}

TEST(Cutting, TheLastTokenOfADocumentIsAlwaysPredicted) {
  for (std::int64_t length = 2; length < 9; ++length) {
    for (std::int64_t size = 2; size < 40; ++size) {
      const auto pieces = cut_all({encoded(size)}, {.length = length});
      ASSERT_FALSE(pieces.spans.empty());
      const Span last = pieces.spans.back();
      EXPECT_EQ(last.begin + last.length, size);
      EXPECT_GE(last.length, 2);
      std::int64_t total = pieces.tokens_unlearned;
      for (const Span& piece : pieces.spans) {
        EXPECT_LE(piece.length, length);
        total += piece.length;
      }
      EXPECT_EQ(total, size) << "length " << length;
    }
  }
}

TEST(Cutting, LeavesOutPiecesWithoutTargets) {
  auto pieces = cut_all({encoded(8, 4)}, {.length = 4});
  EXPECT_EQ(pieces.spans, (std::vector<Span>{{4, 4}}));
  EXPECT_EQ(pieces.targets, 3) << "the first of a piece is not predicted";
  EXPECT_EQ(pieces.tokens_unlearned, 4);
  // Only the first token of the second piece is a target: nothing comes before it there.
  EncodedDocument one = encoded(8, 9);
  one.words[4] |= kTargetBit;
  one.targets = 1;
  pieces = cut_all({one}, {.length = 4});
  EXPECT_TRUE(pieces.spans.empty());
  EXPECT_EQ(pieces.targets, 0);
  EXPECT_EQ(pieces.tokens_unlearned, 8);
}

TEST(Cutting, TruncatingKeepsTheFirstTokens) {
  const auto pieces = cut_all({encoded(4), encoded(5), encoded(11)},
                              {.length = 4, .long_documents = LongDocuments::kTruncate});
  EXPECT_EQ(pieces.spans, (std::vector<Span>{{0, 4}, {4, 4}, {9, 4}}));
  EXPECT_EQ(pieces.long_documents, 2);
  EXPECT_EQ(pieces.tokens_cut_off, 1 + 7);
  EXPECT_EQ(pieces.targets, 9);
}

TEST(Cutting, DroppingKeepsShortDocumentsAlone) {
  const auto pieces = cut_all({encoded(4), encoded(5), encoded(11)},
                              {.length = 4, .long_documents = LongDocuments::kDrop});
  EXPECT_EQ(pieces.spans, (std::vector<Span>{{0, 4}}));
  EXPECT_EQ(pieces.long_documents, 2);
  EXPECT_EQ(pieces.tokens_cut_off, 16);
}

TEST(Cutting, TellsFilesApart) {
  const TokenFiles files = {token_file({encoded(3)}), token_file({encoded(2), encoded(6)})};
  const auto pieces = cut(files, {{1, 1}, {0, 0}, {1, 0}, {1, 1}}, {.length = 4});
  EXPECT_EQ(pieces.spans,
            (std::vector<Span>{{2, 4, 1}, {6, 2, 1}, {0, 3, 0}, {0, 2, 1}, {2, 4, 1}, {6, 2, 1}}));
}

}  // namespace
}  // namespace distill::data
