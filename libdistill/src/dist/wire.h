#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include <distill/dist/channel.h>

#include "dist/frame.h"

namespace distill::dist::detail {

/// A message on its way to the other end.
struct Outgoing {
  Frame frame;
  std::vector<std::byte> body;
  std::shared_ptr<Bulk> bulk;  ///< null: none
};

/// How the messages of one channel get to its other end, and from there. One thread reads, one
/// writes. Both throw what says that the other end is gone.
class Wire {
 public:
  virtual ~Wire() = default;
  /// The next frame, however long it takes until one comes.
  virtual Frame read_frame() = 0;
  /// What follows it; nothing where it was for the channel itself.
  virtual std::optional<Message> read_rest(const Frame& frame) = 0;
  virtual void write(const Outgoing& message) = 0;
  /// Calls of the two threads throw from now on, also those that wait. Any thread may call it.
  virtual void stop() noexcept = 0;
};

}  // namespace distill::dist::detail
