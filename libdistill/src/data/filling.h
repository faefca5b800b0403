#pragma once

#include <cstdint>

#include "data/packing.h"
#include "data/token_file.h"

namespace distill::data {

struct FilledRows {
  PackedRows rows;
  std::int64_t pieces_cut = 0;        ///< that were given, each counted once
  std::int64_t targets_lost = 0;      ///< first tokens of parts, which are not predicted
  std::int64_t tokens_unlearned = 0;  ///< ends of cut pieces with nothing to learn, left out
};

/// No shorter part of a cut piece is put into a gap, the last one apart.
inline constexpr std::int64_t kShortestPart = 16;

/// Packed rows that use less than `min_use` of their positions, with as few pieces as possible cut
/// up: the emptiest rows are given up and their pieces put into the gaps of the others, the widest
/// first, in parts that each hold something to learn. The first part of a piece always reaches
/// beyond the prompt it begins with; where no gap is wide enough for that, a piece of another row
/// gives up its end, which has no prompt, to make one. A row stays where that cannot be done.
FilledRows fill_rows(const TokenFiles& files, PackedRows rows, std::int64_t length, double min_use);

}  // namespace distill::data
