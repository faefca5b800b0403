#include "dist/own_segments.h"

#include <algorithm>
#include <utility>

#include <distill/core/error.h>

namespace distill::dist::detail {

namespace {

/// Segments are a whole number of these, so that the next batch fits too.
constexpr std::uint64_t kGrain = 64 << 10;

}  // namespace

/// One that is large enough, grown or added where there is none. Under the mutex.
OwnSegments::Segment& OwnSegments::free_segment(std::uint64_t bytes) {
  const auto is_free = [](const Segment& segment) { return !segment.busy; };
  auto found = std::ranges::find_if(all_, [&](const Segment& segment) {
    return is_free(segment) && segment.block && segment.block->size() >= bytes;
  });
  if (found != all_.end()) return *found;
  found = std::ranges::find_if(all_, is_free);
  if (found == all_.end()) {
    if (all_.size() == kMostSegments) {
      fail<DistributedError>(who_, ": keeps all of ", kMostSegments,
                             " pieces of data that were sent to it");
    }
    found = all_.insert(all_.end(), Segment{});
  }
  *found = {};  // given back before its successor is taken
  found->block = SharedBlock::create((bytes + kGrain - 1) / kGrain * kGrain);
  return *found;
}

OwnSegments::Place OwnSegments::take(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  Segment& segment = free_segment(bytes);
  segment.busy = true;
  return {segment.block, static_cast<std::uint32_t>(&segment - all_.data())};
}

bool OwnSegments::tell(std::uint32_t segment) {
  const std::lock_guard lock(mutex_);
  return !std::exchange(all_.at(segment).told, true);
}

void OwnSegments::release(std::uint32_t segment) {
  const std::lock_guard lock(mutex_);
  if (segment >= all_.size() || !all_[segment].busy) {
    fail<DistributedError>(who_, ": lets go of data that it does not have");
  }
  all_[segment].busy = false;
}

}  // namespace distill::dist::detail
