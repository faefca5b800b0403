#pragma once

#include <cstdint>
#include <vector>

namespace distill::data {

/// The tokens of all documents, end to end.
struct TokenStore {
  std::vector<std::int32_t> ids;
  std::vector<bool> is_target;  ///< unshifted, one bit a token
};

/// Tokens [begin, begin + length) of a store: a document, or a piece of one.
struct Span {
  std::int64_t begin = 0;
  std::int64_t length = 0;
  bool operator==(const Span&) const = default;
};

/// Predictions a span has to offer: its first token is never predicted.
inline std::int64_t count_targets(const TokenStore& tokens, const Span& span) {
  std::int64_t count = 0;
  for (std::int64_t i = span.begin + 1; i < span.begin + span.length; ++i) {
    count += tokens.is_target[static_cast<std::size_t>(i)] ? 1 : 0;
  }
  return count;
}

}  // namespace distill::data
