#include "data/packing.h"

#include <algorithm>
#include <set>

#include <sys/resource.h>

#include <gtest/gtest.h>

#include <distill/core/random.h>

namespace distill::data {
namespace {

std::vector<Span> of_lengths(const std::vector<std::int64_t>& lengths) {
  std::vector<Span> pieces;
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    pieces.push_back({begin, static_cast<std::int32_t>(length)});
    begin += length;
  }
  return pieces;
}

/// Lengths of the pieces, row by row.
std::vector<std::vector<std::int64_t>> lengths_by_row(const PackedRows& packed) {
  std::vector<std::vector<std::int64_t>> rows;
  for (std::size_t r = 0; r + 1 < packed.row_begin.size(); ++r) {
    auto& row = rows.emplace_back();
    for (auto p = packed.row_begin[r]; p < packed.row_begin[r + 1]; ++p) {
      row.push_back(packed.pieces[static_cast<std::size_t>(p)].length);
    }
  }
  return rows;
}

TEST(Packing, LongPiecesChooseFirstAndTheTightestRow) {
  // 10 | 7 + 3 | 6 + 4 | 2: the row of 7 is the tightest for 3, that of 6 for 4.
  const auto packed = pack_best_fit(of_lengths({6, 7, 3, 4, 10, 2}), 10);
  EXPECT_EQ(lengths_by_row(packed),
            (std::vector<std::vector<std::int64_t>>{{6, 4}, {7, 3}, {10}, {2}}));
  // In the order given, 3 and 4 would have shared a row and 6 and 7 had one each.
  EXPECT_EQ(lengths_by_row(pack_best_fit(of_lengths({3, 4, 6, 7}), 10)),
            (std::vector<std::vector<std::int64_t>>{{3, 7}, {4, 6}}));
}

TEST(Packing, PrefersTheOlderOfEqualRows) {
  const auto packed = pack_best_fit(of_lengths({7, 7, 2, 3}), 10);
  EXPECT_EQ(lengths_by_row(packed), (std::vector<std::vector<std::int64_t>>{{7, 3}, {7, 2}}));
}

TEST(Packing, NothingGivesNoRows) {
  EXPECT_EQ(pack_best_fit({}, 10).row_begin, std::vector<std::int64_t>{0});
  EXPECT_EQ(one_piece_per_row({}).row_begin, std::vector<std::int64_t>{0});
}

TEST(Packing, OffGivesOnePieceARow) {
  const auto pieces = of_lengths({3, 1, 5});
  const auto rows = one_piece_per_row(pieces);
  EXPECT_EQ(rows.pieces, pieces);
  EXPECT_EQ(rows.row_begin, (std::vector<std::int64_t>{0, 1, 2, 3}));
}

TEST(Packing, MemoryDoesNotGrowWithTheLengthOfRows) {
  const auto most_memory = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;  // KiB
  };
  const std::int64_t before = most_memory();
  const auto packed = pack_best_fit(of_lengths(std::vector<std::int64_t>(50, 60)), 1 << 20);
  EXPECT_EQ(packed.row_begin.size(), 2u);
  EXPECT_LT(most_memory() - before, 64 << 10);
}

TEST(Packing, HoldsItsPromisesOnRandomPieces) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    core::RandomState random(seed);
    const auto length = static_cast<std::int64_t>(16 + random.below(500));
    std::vector<std::int64_t> lengths;
    for (int i = 0; i < 2000; ++i) {
      lengths.push_back(
          2 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(length) - 1)));
    }
    const auto pieces = of_lengths(lengths);
    const auto packed = pack_best_fit(pieces, length);

    std::vector<Span> sorted = packed.pieces;
    std::ranges::sort(sorted, {}, &Span::begin);
    EXPECT_EQ(sorted, pieces) << "every piece once";
    std::int64_t used = 0;
    std::int64_t opened_before = -1;
    for (std::size_t r = 0; r + 1 < packed.row_begin.size(); ++r) {
      ASSERT_LT(packed.row_begin[r], packed.row_begin[r + 1]) << "no row is empty";
      std::int64_t filled = 0;
      std::int64_t before = -1;
      for (auto p = packed.row_begin[r]; p < packed.row_begin[r + 1]; ++p) {
        const Span& piece = packed.pieces[static_cast<std::size_t>(p)];
        EXPECT_GT(piece.begin, before) << "order within a row";
        before = piece.begin;
        filled += piece.length;
      }
      const std::int64_t opened =
          packed.pieces[static_cast<std::size_t>(packed.row_begin[r])].begin;
      EXPECT_GT(opened, opened_before) << "order of the rows";
      opened_before = opened;
      EXPECT_LE(filled, length);
      used += filled;
    }
    const auto positions =
        static_cast<double>(packed.row_begin.size() - 1) * static_cast<double>(length);
    EXPECT_GE(static_cast<double>(used) / positions, 0.97) << "seed " << seed;
  }
}

}  // namespace
}  // namespace distill::data
