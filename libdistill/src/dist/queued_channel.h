#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include <distill/dist/channel.h>

#include "dist/mailbox.h"
#include "dist/wire.h"

namespace distill::dist::detail {

/// A channel whose wire is read by one thread and written by another, so that neither end ever
/// waits for the other one to receive, and a message that comes in parts holds up nobody.
class QueuedChannel : public Channel {
 public:
  /// `mailbox` may be shared with what the wire has handed out. Throws std::system_error where
  /// there are no more threads.
  QueuedChannel(std::shared_ptr<Mailbox> mailbox, std::unique_ptr<Wire> wire, const Pulse& pulse);
  ~QueuedChannel() override;

  void send(std::uint32_t kind, std::span<const std::byte> body,
            const std::shared_ptr<Bulk>& bulk) final;
  void farewell() final;
  std::optional<Message> receive(double seconds) final { return mailbox_->take(seconds); }
  void set_limits(const ChannelLimits& limits) final { mailbox_->set_limits(limits); }
  double silence() const final { return mailbox_->silence(); }

 protected:
  /// Writes into the frame where the data of its message lies.
  virtual void place(Frame& frame, const Bulk& bulk) = 0;

 private:
  std::shared_ptr<Mailbox> mailbox_;
  std::unique_ptr<Wire> wire_;
  std::optional<std::chrono::steady_clock::time_point> farewell_ends_;
  std::thread reader_;
  std::thread writer_;
};

}  // namespace distill::dist::detail
