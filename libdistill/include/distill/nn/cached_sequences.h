#pragma once

#include <cstdint>
#include <span>

namespace distill::nn {

class KvCache;

/// Sequences that go on, each with a cache of its own. The rows of their new tokens stand one
/// sequence after the other; there is no padding.
struct CachedSequences {
  std::span<const std::int64_t> segments;  ///< borders of the sequences' new rows, from 0 to N
  std::span<KvCache* const> caches;        ///< one for each sequence, all different
};

}  // namespace distill::nn
