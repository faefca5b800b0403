#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string>

#include <distill/dist/channel.h>

#include "dist/wire.h"

namespace distill::dist::detail {

/// What came and what is to go, between those who use a channel and its two threads.
class Mailbox {
 public:
  using Clock = std::chrono::steady_clock;

  /// `who`: the other end. `holds_data`: that of a message takes memory of this process.
  Mailbox(std::string who, bool holds_data) : who_(std::move(who)), holds_data_(holds_data) {}

  // For those who use the channel; as in Channel.
  std::optional<Message> take(double seconds);
  void post(Outgoing message);
  void set_limits(const ChannelLimits& limits);
  double silence() const;
  /// Nothing more comes or goes; what was posted has until then to go.
  void end_by(Clock::time_point time);

  // For the thread that reads.
  /// Waits until there is room for what follows the frame. Throws DistributedError for what is no
  /// message or beyond the limits, and at the end.
  void begin(const Frame& frame);
  void put(std::optional<Message> message);
  void fail_reading(const std::exception& error);

  // For the thread that writes.
  /// What goes next: a sign of life where nothing was posted for so long; nothing: the end.
  std::optional<Outgoing> next(double beat_seconds);
  void sent();
  void fail_writing(const std::exception& error);

 private:
  std::uint64_t cost_of(std::uint64_t body, std::uint64_t bulk) const;
  bool has_room(const Frame& frame) const;
  void note(const std::exception& error);

  const std::string who_;
  const bool holds_data_;
  mutable std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  ChannelLimits limits_;
  std::deque<Message> inbox_;
  std::uint64_t inbox_bytes_ = 0;
  std::deque<Outgoing> outbox_;
  std::uint64_t outbox_bytes_ = 0;
  std::size_t outbox_data_ = 0;  ///< messages with data that takes memory of this process
  bool sending_ = false;         ///< one more is on its way, no sign of life
  bool reading_ = false;         ///< one more comes in
  Clock::time_point heard_ = Clock::now();
  std::string error_;               ///< the first; why nothing goes any more
  bool reading_has_ended_ = false;  ///< and nothing comes, behind what the inbox holds
  bool ending_ = false;
};

}  // namespace distill::dist::detail
