#include "data/filling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <queue>
#include <set>
#include <tuple>

namespace distill::data {

namespace {

/// A row while it is filled.
struct OpenRow {
  std::vector<Span> pieces;
  std::int64_t space = 0;
  bool given_up = false;
  bool is_host = false;  ///< a piece of it was shortened already
};

std::int64_t tokens_in(const std::vector<Span>& pieces) {
  return std::accumulate(pieces.begin(), pieces.end(), std::int64_t{0},
                         [](std::int64_t sum, const Span& piece) { return sum + piece.length; });
}

class Filler {
 public:
  Filler(const TokenFiles& files, const PackedRows& rows, std::int64_t length)
      : files_(files), length_(length) {
    for (std::size_t r = 0; r + 1 < rows.row_begin.size(); ++r) {
      const auto begin = rows.pieces.begin() + rows.row_begin[r];
      const auto end = rows.pieces.begin() + rows.row_begin[r + 1];
      OpenRow& row = rows_.emplace_back();
      row.pieces.assign(begin, end);
      row.space = length - tokens_in(row.pieces);
    }
  }

  void give_up(std::int64_t count) {
    std::vector<std::size_t> order(rows_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater{}, [&](std::size_t r) { return rows_[r].space; });
    const auto kept = order.begin() + count;
    for (auto r = kept; r != order.end(); ++r) offer(*r);
    // Hosts are looked for among the fullest: their long pieces have the most to give.
    hosts_.assign(order.rbegin(), std::make_reverse_iterator(kept));
    for (auto r = order.begin(); r != kept; ++r) try_to_give_up(*r);
  }

  FilledRows take() {
    FilledRows filled;
    for (OpenRow& row : rows_) {
      if (row.given_up) continue;
      filled.rows.pieces.insert(filled.rows.pieces.end(), row.pieces.begin(), row.pieces.end());
      filled.rows.row_begin.push_back(std::ssize(filled.rows.pieces));
    }
    filled.pieces_cut = pieces_cut_;
    filled.targets_lost = targets_lost_;
    filled.tokens_unlearned = tokens_unlearned_;
    return filled;
  }

 private:
  using Key = std::tuple<std::int32_t, std::int64_t, std::int32_t>;
  static Key key_of(const Span& piece) { return {piece.file, piece.begin, piece.length}; }

  std::pair<Span, Span> split(const Span& piece, std::int64_t at) {
    const auto first = static_cast<std::int32_t>(at);
    const Span rest{piece.begin + at, piece.length - first, piece.file};
    const Span part{piece.begin, first, piece.file};
    if (rest.length == 0) return {part, rest};
    if ((words_of(files_, rest).front() & kTargetBit) != 0) ++targets_lost_;
    // Of a part nothing new is cut up.
    if (!parts_.contains(key_of(piece))) ++pieces_cut_;
    parts_.insert(key_of(part));
    parts_.insert(key_of(rest));
    return {part, rest};
  }

  /// The shortest beginning with something to learn; 0 when there is nothing.
  std::int64_t head_of(const Span& piece) const {
    const auto words = words_of(files_, piece);
    for (std::size_t i = 1; i < words.size(); ++i) {
      if ((words[i] & kTargetBit) != 0) return static_cast<std::int64_t>(i) + 1;
    }
    return 0;
  }

  /// What a first part must at least hold: some words after its prompt, or all of the piece.
  std::int64_t least_part(const Span& piece) const {
    const std::int64_t head = head_of(piece);
    return head == 0 ? 0 : std::min<std::int64_t>(piece.length, head + kShortestPart);
  }

  void offer(std::size_t row) {
    if (rows_[row].space >= kShortestPart)
      gaps_.emplace(rows_[row].space, -static_cast<std::int64_t>(row));
  }

  /// The row with the widest gap, or -1.
  std::int64_t widest() {
    while (!gaps_.empty()) {
      const auto [space, minus_row] = gaps_.top();
      if (rows_[static_cast<std::size_t>(-minus_row)].space == space) return -minus_row;
      gaps_.pop();  // it was used meanwhile
    }
    return -1;
  }

  void put(std::size_t row, const Span& part) {
    rows_[row].pieces.push_back(part);
    rows_[row].space -= part.length;
    offer(row);
  }

  /// Puts all of `piece` into gaps in parts; what does not fit anywhere comes back.
  Span put_in_parts(Span piece) {
    while (piece.length > 0) {
      const std::int64_t least = least_part(piece);
      if (least == 0) {
        tokens_unlearned_ += piece.length;
        return {};
      }
      const std::int64_t row = widest();
      if (row < 0 || rows_[static_cast<std::size_t>(row)].space < least) return piece;
      std::int64_t taken =
          std::min<std::int64_t>(rows_[static_cast<std::size_t>(row)].space, piece.length);
      if (piece.length - taken == 1) --taken;  // a single token could not be predicted
      const auto [part, rest] = split(piece, taken);
      put(static_cast<std::size_t>(row), part);
      piece = rest;
    }
    return {};
  }

  /// Makes a gap of at least `wanted` by shortening a piece of a full row; the end that is cut off
  /// is returned. Nothing when there is none.
  Span make_gap(std::int64_t wanted) {
    while (next_host_ < hosts_.size()) {
      const std::size_t r = hosts_[next_host_];
      OpenRow& row = rows_[r];
      if (row.pieces.size() > 0 && !row.is_host) {
        const auto longest = std::ranges::max_element(row.pieces, {}, &Span::length);
        const std::int64_t kept =
            std::max<std::int64_t>(least_part(*longest), longest->length - (wanted - row.space));
        if (longest->length - kept >= kShortestPart &&
            row.space + longest->length - kept >= wanted) {
          const auto [part, end] = split(*longest, kept);
          *longest = part;
          row.space += end.length;
          row.is_host = true;
          ++next_host_;
          offer(r);
          return end;
        }
      }
      ++next_host_;
    }
    return {};
  }

  /// Its pieces go into gaps; what fits nowhere stays.
  void try_to_give_up(std::size_t r) {
    std::vector<Span> left = std::move(rows_[r].pieces);
    rows_[r].pieces.clear();
    rows_[r].space = 0;  // no gap of its own meanwhile
    std::vector<Span> kept;
    for (std::size_t i = 0; i < left.size(); ++i) {
      const Span piece = left[i];
      Span rest = put_in_parts(piece);
      while (rest.length > 0) {
        const Span end = make_gap(least_part(rest));
        if (end.length == 0) break;
        left.push_back(end);
        rest = put_in_parts(rest);
      }
      if (rest.length > 0) kept.push_back(rest);
    }
    rows_[r].given_up = kept.empty();
    rows_[r].pieces = std::move(kept);
    rows_[r].space = rows_[r].given_up ? 0 : length_ - tokens_in(rows_[r].pieces);
  }

  const TokenFiles& files_;
  std::int64_t length_;
  std::vector<OpenRow> rows_;
  std::priority_queue<std::pair<std::int64_t, std::int64_t>> gaps_;  // (space, -row)
  std::vector<std::size_t> hosts_;
  std::size_t next_host_ = 0;
  std::set<Key> parts_;  // of pieces that were cut up
  std::int64_t pieces_cut_ = 0;
  std::int64_t targets_lost_ = 0;
  std::int64_t tokens_unlearned_ = 0;
};

}  // namespace

FilledRows fill_rows(const TokenFiles& files, PackedRows rows, std::int64_t length,
                     double min_use) {
  const std::int64_t num_rows = std::ssize(rows.row_begin) - 1;
  const std::int64_t tokens = tokens_in(rows.pieces);
  if (min_use <= 0 || num_rows < 2) return {std::move(rows)};
  const auto enough = static_cast<std::int64_t>(
      std::floor(static_cast<double>(tokens) / (static_cast<double>(length) * min_use)));
  // Never fewer rows than all tokens need.
  const std::int64_t most = std::max(enough, (tokens + length - 1) / length);
  if (num_rows <= most) return {std::move(rows)};
  Filler filler(files, rows, length);
  filler.give_up(num_rows - most);
  return filler.take();
}

}  // namespace distill::data
