#include "dist/mailbox.h"

#include <stdexcept>
#include <utility>

#include <distill/core/error.h>

#include "dist/reason.h"

namespace distill::dist::detail {

namespace {

/// Messages that wait, each way. A reader pauses then, a sender has failed.
constexpr std::size_t kMostWaiting = 64;
/// And bytes of them. Some of the largest requests fit into what waits to be sent.
constexpr std::uint64_t kMostReceived = 64 << 20;
constexpr std::uint64_t kMostToSend = 256 << 20;
/// An end that asks for one more and takes none would fill the memory with answers.
constexpr std::size_t kMostWithData = 8;

}  // namespace

std::optional<Message> Mailbox::take(double seconds) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                    [this] { return !inbox_.empty() || reading_has_ended_; });
  if (inbox_.empty()) {
    if (!error_.empty()) throw DistributedError(error_);
    return std::nullopt;
  }
  Message message = std::move(inbox_.front());
  inbox_.pop_front();
  const std::uint64_t bulk =
      message.bulk.defined() ? static_cast<std::uint64_t>(message.bulk.numel()) : 0;
  inbox_bytes_ -= cost_of(message.body.size(), bulk);
  changed_.notify_all();
  return message;
}

void Mailbox::post(Outgoing message) {
  const std::lock_guard lock(mutex_);
  if (!error_.empty()) throw DistributedError(error_);
  const std::uint64_t bytes = message.body.size();
  const bool with_data = holds_data_ && message.bulk != nullptr;
  if (outbox_.size() == kMostWaiting || bytes > kMostToSend - outbox_bytes_ ||
      (with_data && outbox_data_ == kMostWithData)) {
    // Messages have an order: behind one that is missing there are none.
    error_ = core::concat(who_, ": takes no messages; ", outbox_.size(), " wait for it");
    changed_.notify_all();
    throw DistributedError(error_);
  }
  outbox_bytes_ += bytes;
  if (with_data) ++outbox_data_;
  outbox_.push_back(std::move(message));
  changed_.notify_all();
}

void Mailbox::set_limits(const ChannelLimits& limits) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
  changed_.notify_all();
}

double Mailbox::silence() const {
  const std::lock_guard lock(mutex_);
  if (reading_) return 0;
  return std::chrono::duration<double>(Clock::now() - heard_).count();
}

void Mailbox::end_by(Clock::time_point time) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, time,
                      [this] { return (outbox_.empty() && !sending_) || !error_.empty(); });
  ending_ = true;
  changed_.notify_all();
}

std::uint64_t Mailbox::cost_of(std::uint64_t body, std::uint64_t bulk) const {
  return body + (holds_data_ ? bulk : 0);
}

/// One message always has: it is within the limits.
bool Mailbox::has_room(const Frame& frame) const {
  if (inbox_.empty()) return true;
  return inbox_.size() < kMostWaiting && inbox_bytes_ < kMostReceived &&
         cost_of(frame.body, frame.bulk) <= kMostReceived - inbox_bytes_;
}

void Mailbox::begin(const Frame& frame) {
  std::unique_lock lock(mutex_);
  heard_ = Clock::now();
  reading_ = true;
  if (frame.is_of_channel()) return check_frame(frame, {}, who_);
  // The first message may be there before anybody has said what is allowed.
  changed_.wait(lock, [this] { return ending_ || limits_.body > 0; });
  check_frame(frame, limits_, who_);
  changed_.wait(lock, [&] { return ending_ || has_room(frame); });
  if (ending_) throw std::runtime_error("the channel was closed");
}

void Mailbox::put(std::optional<Message> message) {
  const std::lock_guard lock(mutex_);
  heard_ = Clock::now();
  reading_ = false;
  if (!message) return;
  const std::uint64_t bulk =
      message->bulk.defined() ? static_cast<std::uint64_t>(message->bulk.numel()) : 0;
  inbox_bytes_ += cost_of(message->body.size(), bulk);
  inbox_.push_back(std::move(*message));
  changed_.notify_all();
}

/// Under the mutex.
void Mailbox::note(const std::exception& error) {
  if (!error_.empty()) return;
  const bool is_told = dynamic_cast<const Error*>(&error) != nullptr;
  error_ = is_told ? error.what() : core::concat(who_, ": is gone (", reason_of(error), ")");
}

void Mailbox::fail_reading(const std::exception& error) {
  const std::lock_guard lock(mutex_);
  note(error);
  reading_ = false;
  reading_has_ended_ = true;
  changed_.notify_all();
}

void Mailbox::fail_writing(const std::exception& error) {
  const std::lock_guard lock(mutex_);
  note(error);
  changed_.notify_all();
}

std::optional<Outgoing> Mailbox::next(double beat_seconds) {
  std::unique_lock lock(mutex_);
  const bool is_any = changed_.wait_for(lock, std::chrono::duration<double>(beat_seconds),
                                        [this] { return ending_ || !outbox_.empty(); });
  if (ending_) return std::nullopt;
  Outgoing message;
  if (is_any) {
    message = std::move(outbox_.front());
    outbox_.pop_front();
    outbox_bytes_ -= message.body.size();
    if (holds_data_ && message.bulk != nullptr) --outbox_data_;
  } else {
    message.frame.kind = Frame::kBeat;
  }
  sending_ = is_any;  // nobody is owed a sign of life
  return message;
}

void Mailbox::sent() {
  const std::lock_guard lock(mutex_);
  sending_ = false;
  changed_.notify_all();
}

}  // namespace distill::dist::detail
