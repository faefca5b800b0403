#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/token_file.h"

namespace distill::data {

/// Pieces grouped by row: row r holds pieces [row_begin[r], row_begin[r + 1]).
struct PackedRows {
  std::vector<Span> pieces;
  std::vector<std::int64_t> row_begin = {0};
};

/// Best fit, longest pieces first: each goes to the row with the least space that still holds it
/// (the oldest of equals), or opens a new row. Rows stand in the order of their first pieces,
/// pieces within a row in the order in which they were given.
PackedRows pack_best_fit(const std::vector<Span>& pieces, std::int64_t length);

/// One piece a row.
PackedRows one_piece_per_row(const std::vector<Span>& pieces);

}  // namespace distill::data
