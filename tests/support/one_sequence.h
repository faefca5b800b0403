#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <distill/nn/cached_sequences.h>

namespace distill::testing {

/// The next `count` tokens of one sequence.
class OneSequence {
 public:
  OneSequence(nn::KvCache& cache, std::int64_t count) : cache_(&cache), segments_{0, count} {}
  OneSequence(const OneSequence&) = delete;
  OneSequence& operator=(const OneSequence&) = delete;
  operator nn::CachedSequences() const { return {segments_, std::span(&cache_, 1)}; }

 private:
  nn::KvCache* cache_;
  std::array<std::int64_t, 2> segments_;
};

}  // namespace distill::testing
