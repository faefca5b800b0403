#pragma once

#include <cstdint>
#include <span>

#include "io/bit_stream.h"

/// Ascending ids as the gaps between them.
namespace distill::io {

constexpr int kOrderBits = 5;  // part of the format
constexpr int kHighestOrder = 31;

/// The order of the Golomb code that takes the fewest bits. Positions are given one after the
/// other; an id that is not above the one before begins a new one.
inline int best_order(std::span<const std::int64_t> ids) {
  constexpr int kHighestTried = 20;
  int best = 0;
  std::uint64_t fewest = ~std::uint64_t{0};
  for (int order = 0; order <= kHighestTried; ++order) {
    std::uint64_t bits = 0;
    std::int64_t before = -1;
    for (const std::int64_t id : ids) {
      if (id <= before) before = -1;
      bits += static_cast<std::uint64_t>(
          golomb_bits(static_cast<std::uint64_t>(id - before - 1), order));
      before = id;
    }
    if (bits >= fewest) continue;
    fewest = bits;
    best = order;
  }
  return best;
}

inline void put_ids(BitWriter& out, std::span<const std::int64_t> ids, int order) {
  std::int64_t before = -1;
  for (const std::int64_t id : ids) {
    out.put_golomb(static_cast<std::uint64_t>(id - before - 1), order);
    before = id;
  }
}

/// False when one is not below `vocabulary`.
inline bool take_ids(BitReader& in, std::span<std::int64_t> ids, int order,
                     std::int64_t vocabulary) {
  std::int64_t before = -1;
  for (std::int64_t& id : ids) {
    const std::uint64_t gap = in.take_golomb(order);
    if (gap >= static_cast<std::uint64_t>(vocabulary)) return false;
    id = before + 1 + static_cast<std::int64_t>(gap);
    if (id >= vocabulary) return false;
    before = id;
  }
  return true;
}

}  // namespace distill::io
