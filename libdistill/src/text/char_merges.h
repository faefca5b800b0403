#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "text/char_ids.h"
#include "text/merge_table.h"

namespace distill::text::detail {

/// The characters of more than one byte that a byte-level BPE may take as they are, in place of
/// their bytes, with the same outcome. Such a character's bytes alone merge to one token, and no
/// merge of the whole character has a lower rank than those that make it. Then, as long as no part
/// of it merges with a neighbour, the other merges are the same and in the same order: until the
/// character is whole, each merge that is taken comes before all that the whole one could be in.
/// Every byte of the text must be a token: one that is left out lets its neighbours meet.
struct WholeChars {
  CharIds always;   ///< no part of it can merge with any neighbour before it merges further itself
  CharIds between;  ///< only between neighbours that no part of it can merge with
};

/// `bytes` are the tokens by id, `byte_ids` those of single bytes (-1: none).
WholeChars chars_to_begin_with(const MergeTable& table, const std::vector<std::string>& bytes,
                               const std::array<std::int32_t, 256>& byte_ids);

}  // namespace distill::text::detail
