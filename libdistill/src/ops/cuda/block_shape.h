#pragma once

#include <cstdint>

namespace distill::ops::cuda {

inline constexpr int kWarp = 32;
inline constexpr int kThreads = 256;  ///< of a block
inline constexpr int kWarps = kThreads / kWarp;

/// Shared memory of a block that does not ask for more.
inline constexpr std::int64_t kSharedBytes = std::int64_t{48} << 10;

/// Whether a block's teams can have `bytes` of it beside the sums of its warps (BlockTeam).
constexpr bool fits_shared_memory(std::int64_t bytes) {
  return bytes + kWarps * static_cast<std::int64_t>(sizeof(double)) <= kSharedBytes;
}

}  // namespace distill::ops::cuda
