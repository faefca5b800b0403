#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <vector>

#include <distill/types/batch.h>

namespace distill::types {

/// Names one segment by its content: a 128-bit hash over its ids and over which of its predictions
/// count. What a teacher says about a segment depends on nothing else, so that its answers can be
/// kept and found again by it, whatever the order, packing, batch size or number of ranks.
struct SegmentKey {
  std::array<std::uint64_t, 2> words{};  ///< high, low. Part of the cache format
  auto operator<=>(const SegmentKey&) const = default;
};

/// One key for each segment. Ids and mask are copied to the CPU where they are on a GPU.
std::vector<SegmentKey> segment_keys(const Batch& batch);

}  // namespace distill::types
