#include "data/packing.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace distill::data {

namespace {

constexpr std::int64_t kShortestPiece = 2;

/// The numbers of the pieces, long ones first, equals in their order.
std::vector<std::int64_t> by_falling_length(const std::vector<Span>& pieces, std::int64_t length) {
  std::vector<std::int64_t> place(static_cast<std::size_t>(length) + 2, 0);
  for (const Span& piece : pieces) ++place[static_cast<std::size_t>(length - piece.length) + 1];
  std::partial_sum(place.begin(), place.end(), place.begin());
  std::vector<std::int64_t> order(pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto rank = static_cast<std::size_t>(length - pieces[i].length);
    order[static_cast<std::size_t>(place[rank]++)] = static_cast<std::int64_t>(i);
  }
  return order;
}

/// Rows that have space left, by how much: chains of rows with the same space, the oldest first.
class OpenRows {
 public:
  /// `row`: of a number that is new, or that was taken out before.
  void add(std::int64_t row, std::int64_t space) {
    if (row == std::ssize(next_)) next_.push_back(-1);
    if (space < kShortestPiece) return;
    next_[static_cast<std::size_t>(row)] = -1;
    const auto [place, is_new] = chains_.try_emplace(space, Chain{row, row});
    if (is_new) return;
    next_[static_cast<std::size_t>(place->second.last)] = row;
    place->second.last = row;
  }

  /// Takes out the row with the least space of at least `wanted`; (-1, 0) when there is none.
  std::pair<std::int64_t, std::int64_t> take(std::int64_t wanted) {
    const auto best = chains_.lower_bound(wanted);
    if (best == chains_.end()) return {-1, 0};
    const auto [space, chain] = *best;
    best->second.first = next_[static_cast<std::size_t>(chain.first)];
    if (best->second.first < 0) chains_.erase(best);
    return {chain.first, space};
  }

 private:
  struct Chain {
    std::int64_t first = 0;
    std::int64_t last = 0;
  };
  std::map<std::int64_t, Chain> chains_;  // by space
  std::vector<std::int64_t> next_;        // the row behind each in its chain; -1: none
};

/// Numbers rows anew by their first pieces; returns how many there are.
std::int64_t number_by_first_piece(std::vector<std::int64_t>& row_of) {
  std::vector<std::int64_t> number(row_of.size(), -1);
  std::int64_t count = 0;
  for (std::int64_t& row : row_of) {
    auto& own = number[static_cast<std::size_t>(row)];
    if (own < 0) own = count++;
    row = own;
  }
  return count;
}

/// Pieces in order, grouped by their row.
PackedRows group(const std::vector<Span>& pieces, const std::vector<std::int64_t>& row_of,
                 std::int64_t num_rows) {
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

}  // namespace

PackedRows pack_best_fit(const std::vector<Span>& pieces, std::int64_t length) {
  OpenRows open;
  std::vector<std::int64_t> row_of(pieces.size());
  std::int64_t num_rows = 0;
  for (const std::int64_t i : by_falling_length(pieces, length)) {
    const std::int64_t size = pieces[static_cast<std::size_t>(i)].length;
    auto [row, space] = open.take(size);
    if (row < 0) {
      row = num_rows++;
      space = length;
    }
    row_of[static_cast<std::size_t>(i)] = row;
    open.add(row, space - size);
  }
  return group(pieces, row_of, number_by_first_piece(row_of));
}

PackedRows one_piece_per_row(const std::vector<Span>& pieces) {
  PackedRows rows;
  rows.pieces = pieces;
  rows.row_begin.resize(pieces.size() + 1);
  std::iota(rows.row_begin.begin(), rows.row_begin.end(), std::int64_t{0});
  return rows;
}

}  // namespace distill::data
