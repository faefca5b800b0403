#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dist/shared_block.h"

namespace distill::dist::detail {

/// Of one channel. An end that asks for more keeps what it was sent.
inline constexpr std::size_t kMostSegments = 32;

/// Memory of one end for the data that it sends: each piece is used again when the other end has
/// let go of it. Any thread may use it.
class OwnSegments {
 public:
  /// `who`: the other end, for messages.
  explicit OwnSegments(std::string who) : who_(std::move(who)) {}

  struct Place {
    std::shared_ptr<SharedBlock> block;
    std::uint32_t segment = 0;
  };
  /// Of `bytes` at least. Throws DistributedError when the other end has all, IoError where there
  /// is no memory.
  Place take(std::uint64_t bytes);
  /// Whether the other end does not have the segment's file yet; from now on it has.
  bool tell(std::uint32_t segment);
  /// Throws DistributedError for one that the other end does not have.
  void release(std::uint32_t segment);

 private:
  struct Segment {
    std::shared_ptr<SharedBlock> block;
    bool busy = false;  ///< until the other end lets go of it
    bool told = false;  ///< the other end has the file
  };
  Segment& free_segment(std::uint64_t bytes);

  const std::string who_;
  std::mutex mutex_;  ///< guards the segments
  std::vector<Segment> all_;
};

}  // namespace distill::dist::detail
