#include "data/cutting.h"

#include <algorithm>

namespace distill::data {

Pieces cut(const TokenStore& tokens, const std::vector<Span>& documents, std::int64_t length) {
  Pieces pieces;
  for (Span rest : documents) {
    while (rest.length > 0) {
      std::int64_t taken = std::min(rest.length, length);
      if (rest.length - taken == 1) --taken;
      const Span piece{rest.begin, taken};
      if (count_targets(tokens, piece) > 0) {
        pieces.spans.push_back(piece);
      } else {
        pieces.tokens_left_out += taken;
      }
      rest = {rest.begin + taken, rest.length - taken};
    }
  }
  return pieces;
}

}  // namespace distill::data
