#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "dist/descriptor.h"

namespace distill::dist::detail {

/// A connected stream socket of this machine.
class LocalSocket {
 public:
  LocalSocket(Descriptor socket, std::string who)
      : socket_(std::move(socket)), who_(std::move(who)) {}

  /// All of `bytes`, with `file` (below 0: none). Throws DistributedError when the other end is
  /// gone or takes nothing for a minute.
  void send(std::span<const std::byte> bytes, int file = -1);
  /// Whether something is there to be read, or the end, in so many seconds.
  bool wait(double seconds) const;
  /// Fills `bytes`; a file that comes along is put into `file` where that is given. Throws
  /// DistributedError at the end of the connection, and when nothing more comes for long.
  void receive(std::span<std::byte> bytes, Descriptor* file = nullptr);
  const std::string& who() const { return who_; }

 private:
  std::size_t receive_some(std::span<std::byte> bytes, Descriptor* file);

  Descriptor socket_;
  std::string who_;  ///< the other end, for messages
};

}  // namespace distill::dist::detail
