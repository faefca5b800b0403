#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "text/char_ids.h"
#include "text/merge_table.h"

namespace distill::text::detail {

/// The characters of more than one byte that a byte-level BPE may take as they are, in place of
/// their bytes, with the same outcome in every text. A character is one of them when its bytes
/// alone merge to one token, and
///  - no part of it can merge with any neighbour before it merges further itself, and
///  - no merge of the whole character has a lower rank than those that make it.
/// Then the other merges are the same and in the same order: until such a character is whole, each
/// merge that is taken comes before all that the whole character could be in.
/// `bytes` are the tokens by id, `byte_ids` those of single bytes (-1: none).
CharIds chars_to_begin_with(const MergeTable& table, const std::vector<std::string>& bytes,
                            const std::array<std::int32_t, 256>& byte_ids);

}  // namespace distill::text::detail
