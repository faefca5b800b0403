#pragma once

#include <string>
#include <string_view>

namespace distill::text::detail {

/// Checks the normalizer's table of a SentencePiece model (a double-array trie, Aoe, "An efficient
/// digital search algorithm by using a double-array structure", 1989, and the texts it points to):
/// no walk through it may leave it. Empty is fine. Throws FormatError, beginning with `source`.
void check_char_map(std::string_view char_map, const std::string& source);

}  // namespace distill::text::detail
