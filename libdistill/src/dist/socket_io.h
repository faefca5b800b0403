#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "dist/descriptor.h"

namespace distill::dist::detail {

using Deadline = std::chrono::steady_clock::time_point;

Deadline deadline_in(double seconds);

/// Waits for `events` of poll, without `deadline` for ever; false: the deadline has passed. Signals
/// do not end it. Throws IoError where the system cannot wait.
bool wait_for(const Descriptor& file, short events, const std::optional<Deadline>& deadline);

/// A connected stream socket of this machine.
class LocalSocket {
 public:
  LocalSocket(Descriptor socket, std::string who)
      : socket_(std::move(socket)), who_(std::move(who)) {}

  /// All of `bytes`, with `file` (below 0: none), however long the other end takes. Throws
  /// DistributedError when that is gone.
  void send(std::span<const std::byte> bytes, int file = -1);
  /// Waits until something is there to be read, or the end.
  void wait() const;
  /// Fills `bytes`; a file that comes along is put into `file` where that is given. Throws
  /// DistributedError at the end of the connection, for other files, and at the deadline.
  void receive(std::span<std::byte> bytes, Deadline deadline, Descriptor* file = nullptr);
  /// Ends the connection, also for a thread that waits in one of these.
  void shut_down() noexcept;
  const std::string& who() const { return who_; }

 private:
  std::size_t receive_some(std::span<std::byte> bytes, Descriptor* file);

  Descriptor socket_;
  std::string who_;  ///< the other end, for messages
};

}  // namespace distill::dist::detail
