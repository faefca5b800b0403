#pragma once

#include <string_view>
#include <vector>

#include "text/pre_tokenizer.h"

namespace distill::text::detail {

/// What is looked for: a pattern, or a literal text where `match` is null.
struct Delimiter {
  MatchEnd match = nullptr;
  std::string_view literal;
  bool invert = false;  ///< what lies between the matches is the match
};

/// Appends the pieces of text[piece], from the left, as bytes of `text`.
void split_piece(std::string_view text, ByteRange piece, const Delimiter& delimiter,
                 SplitBehavior behavior, std::vector<ByteRange>& out);

}  // namespace distill::text::detail
