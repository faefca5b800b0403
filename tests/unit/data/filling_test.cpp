#include "data/filling.h"

#include <algorithm>
#include <map>
#include <numeric>

#include <gtest/gtest.h>

#include <distill/core/random.h>

#include "data/cutting.h"
#include "support/token_files.h"

namespace distill::data {
namespace {

using testing::encoded;

struct Result {
  FilledRows filled;
  PackedRows before;
  std::int64_t targets_before = 0;
  TokenFiles files;
};

Result fill(const std::vector<EncodedDocument>& documents, std::int64_t length, double min_use) {
  Result result;
  result.files = {testing::token_file(documents)};
  const Pieces pieces =
      cut(result.files, testing::all_documents(documents.size()), {.length = length});
  result.targets_before = pieces.targets;
  result.before = pack_best_fit(pieces.spans, length);
  result.filled = fill_rows(result.files, result.before, length, min_use);
  return result;
}

std::int64_t tokens_of(const PackedRows& rows) {
  return std::accumulate(rows.pieces.begin(), rows.pieces.end(), std::int64_t{0},
                         [](std::int64_t sum, const Span& piece) { return sum + piece.length; });
}

double use_of(const PackedRows& rows, std::int64_t length) {
  return static_cast<double>(tokens_of(rows)) /
         static_cast<double>((std::ssize(rows.row_begin) - 1) * length);
}

/// What must hold whatever was cut: no row too long, every token once, every part worth having.
void check(const Result& result, std::int64_t length) {
  std::map<std::int64_t, std::int64_t> parts;  // begin -> end
  std::int64_t targets = 0;
  const PackedRows& rows = result.filled.rows;
  for (std::size_t r = 0; r + 1 < rows.row_begin.size(); ++r) {
    std::int64_t filled = 0;
    for (auto p = rows.row_begin[r]; p < rows.row_begin[r + 1]; ++p) {
      const Span& piece = rows.pieces[static_cast<std::size_t>(p)];
      filled += piece.length;
      const std::int64_t own = count_targets(words_of(result.files, piece));
      EXPECT_GT(own, 0);
      targets += own;
      EXPECT_TRUE(parts.emplace(piece.begin, piece.begin + piece.length).second);
    }
    EXPECT_GT(filled, 0);
    EXPECT_LE(filled, length);
  }
  std::int64_t end = 0;
  for (const auto& [begin, part_end] : parts) {
    EXPECT_GE(begin, end) << "no token twice";
    end = part_end;
  }
  const auto is_whole = [&](const Span& piece) {
    const auto part = parts.find(piece.begin);
    return part != parts.end() && part->second == piece.begin + piece.length;
  };
  EXPECT_EQ(result.filled.pieces_cut, std::ssize(result.before.pieces) -
                                          std::ranges::count_if(result.before.pieces, is_whole));
  EXPECT_EQ(tokens_of(rows) + result.filled.tokens_unlearned, tokens_of(result.before));
  EXPECT_EQ(targets, result.targets_before - result.filled.targets_lost);
}

TEST(Filling, RowsThatAreFullEnoughStayAsTheyAre) {
  const auto result = fill({encoded(60), encoded(39), encoded(100)}, 100, 0.98);
  EXPECT_EQ(result.filled.rows.pieces, result.before.pieces);
  EXPECT_EQ(result.filled.pieces_cut, 0);
  check(result, 100);
}

TEST(Filling, ZeroCutsNothing) {
  const std::vector<EncodedDocument> documents(10, encoded(60));
  const auto result = fill(documents, 100, 0);
  EXPECT_EQ(std::ssize(result.filled.rows.row_begin) - 1, 10);
  EXPECT_EQ(result.filled.pieces_cut, 0);
}

TEST(Filling, AsFewDocumentsAsPossibleAreCutUp) {
  // Ten documents of 60 leave 40 % of ten rows empty; 600 tokens need six rows.
  const std::vector<EncodedDocument> documents(10, encoded(60));
  const auto result = fill(documents, 100, 0.98);
  check(result, 100);
  EXPECT_EQ(std::ssize(result.filled.rows.row_begin) - 1, 6);
  EXPECT_EQ(result.filled.pieces_cut, 4) << "six stay whole";
  EXPECT_EQ(use_of(result.filled.rows, 100), 1.0);
}

TEST(Filling, PartsOfConversationsReachBeyondTheirPrompt) {
  // Every prompt is 50 long and no gap wider than 40: other pieces give up their ends.
  const std::vector<EncodedDocument> documents(50, encoded(80, 30));
  const auto result = fill(documents, 100, 0.95);
  check(result, 100);
  EXPECT_GE(use_of(result.filled.rows, 100), 0.93);
  EXPECT_EQ(result.filled.tokens_unlearned, 0);
}

TEST(Filling, WhatCannotBeCutStays) {
  // Nothing but the last tokens can be learned: no part of a document is worth having.
  const std::vector<EncodedDocument> documents(20, encoded(60, 58));
  const auto result = fill(documents, 100, 0.98);
  check(result, 100);
  EXPECT_EQ(std::ssize(result.filled.rows.row_begin) - 1, 20);
  EXPECT_EQ(result.filled.pieces_cut, 0);
}

TEST(Filling, HoldsItsPromisesOnRandomDocuments) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    core::RandomState random(seed);
    const auto length = static_cast<std::int64_t>(64 + random.below(500));
    std::vector<EncodedDocument> documents;
    for (int i = 0; i < 400; ++i) {
      const auto size = static_cast<std::int64_t>(length / 2 + 2 + random.below(200));
      const bool chat = seed % 2 == 0;
      documents.push_back(
          encoded(size, chat ? static_cast<std::int64_t>(random.below(1 + size / 3)) : 0));
    }
    const auto result = fill(documents, length, 0.98);
    check(result, length);
    EXPECT_GE(use_of(result.filled.rows, length), seed % 2 == 0 ? 0.95 : 0.98) << seed;
    EXPECT_EQ(fill(documents, length, 0.98).filled.rows.pieces, result.filled.rows.pieces);
  }
}

}  // namespace
}  // namespace distill::data
