#include "data/packing.h"

#include <numeric>
#include <set>
#include <tuple>
#include <utility>

namespace distill::data {

namespace {

/// The row of every piece, and how many rows there are.
std::pair<std::vector<std::int64_t>, std::int64_t> assign_rows(const std::vector<Span>& pieces,
                                                               std::int64_t length) {
  constexpr std::int64_t kShortestPiece = 2;
  std::set<std::pair<std::int64_t, std::int64_t>> open;  // (space left, row)
  std::vector<std::int64_t> row_of;
  row_of.reserve(pieces.size());
  std::int64_t num_rows = 0;
  for (const Span& piece : pieces) {
    std::int64_t space = length;
    std::int64_t row = num_rows;
    if (const auto best = open.lower_bound({piece.length, 0}); best != open.end()) {
      std::tie(space, row) = *best;
      open.erase(best);
    } else {
      ++num_rows;
    }
    row_of.push_back(row);
    space -= piece.length;
    if (space >= kShortestPiece) open.emplace(space, row);
  }
  return {std::move(row_of), num_rows};
}

}  // namespace

PackedRows pack_best_fit(const std::vector<Span>& pieces, std::int64_t length) {
  const auto [row_of, num_rows] = assign_rows(pieces, length);
  PackedRows packed;
  packed.row_begin.assign(static_cast<std::size_t>(num_rows) + 1, 0);
  for (const std::int64_t row : row_of) ++packed.row_begin[static_cast<std::size_t>(row) + 1];
  std::partial_sum(packed.row_begin.begin(), packed.row_begin.end(), packed.row_begin.begin());
  std::vector<std::int64_t> place(packed.row_begin.begin(), packed.row_begin.end() - 1);
  packed.pieces.resize(pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const std::int64_t slot = place[static_cast<std::size_t>(row_of[i])]++;
    packed.pieces[static_cast<std::size_t>(slot)] = pieces[i];
  }
  return packed;
}

PackedRows one_piece_per_row(const std::vector<Span>& pieces) {
  PackedRows rows;
  rows.pieces = pieces;
  rows.row_begin.resize(pieces.size() + 1);
  std::iota(rows.row_begin.begin(), rows.row_begin.end(), std::int64_t{0});
  return rows;
}

}  // namespace distill::data
