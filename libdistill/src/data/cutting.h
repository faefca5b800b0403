#pragma once

#include <cstdint>
#include <vector>

#include "data/token_store.h"

namespace distill::data {

struct Pieces {
  std::vector<Span> spans;
  std::int64_t tokens_left_out = 0;  ///< in pieces with nothing to learn
};

/// Cuts every document into pieces of `length` (>= 2) tokens; the last is shorter. When one token
/// would remain, the piece before gives up its last one: alone it could not be predicted, and it
/// is mostly the end-of-document token. Pieces with nothing to learn are left out.
Pieces cut(const TokenStore& tokens, const std::vector<Span>& documents, std::int64_t length);

}  // namespace distill::data
