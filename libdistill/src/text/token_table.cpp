#include "text/token_table.h"

#include <bit>

namespace distill::text::detail {

TokenTable::TokenTable(const std::vector<std::string>& tokens)
    : slots_(std::bit_ceil(2 * tokens.size() + 1)), mask_(slots_.size() - 1) {
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].empty() || find(tokens, tokens[id]) >= 0) continue;
    const std::uint64_t hash = hash_of(tokens[id]);
    std::size_t at = static_cast<std::size_t>(hash) & mask_;
    while (slots_[at].id >= 0) at = (at + 1) & mask_;
    slots_[at] = {static_cast<std::uint32_t>(hash >> 32), static_cast<std::int32_t>(id)};
  }
}

}  // namespace distill::text::detail
