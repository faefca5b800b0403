#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "text/merge_table.h"

namespace distill::text::detail {

/// What the merges of a byte-level BPE can do at the border of two characters, for those below
/// U+10000.
struct CharBreaks {
  /// Two code points, the left one in the upper half: a merge has the one at the end of its left
  /// token and the other at the beginning of its right one. Sorted; not those of ASCII alone.
  std::vector<std::uint32_t> joined;
  /// By code point, what merges of parts of characters see in it: characters of one class are the
  /// same to all of them. 0: nothing.
  std::vector<std::uint16_t> left_class;
  std::vector<std::uint16_t> right_class;
  /// [left class * num_right + right class]: a merge may join a part of one of the characters with
  /// what stands across the border.
  std::vector<bool> breaks;
  std::size_t num_right = 0;
};

/// `bytes` are the tokens by id. Nothing when the merges see more classes of characters than is
/// worth a table.
std::optional<CharBreaks> find_char_breaks(const MergeTable& table,
                                           const std::vector<std::string>& bytes);

}  // namespace distill::text::detail
