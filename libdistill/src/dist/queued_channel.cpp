#include "dist/queued_channel.h"

#include <exception>
#include <utility>

namespace distill::dist::detail {

namespace {

/// What was sent last may be on its way when a channel ends.
constexpr std::chrono::seconds kFarewell(2);

void read_all(Mailbox& mailbox, Wire& wire) {
  try {
    while (true) {
      const Frame frame = wire.read_frame();
      mailbox.begin(frame);
      mailbox.put(wire.read_rest(frame));
    }
  } catch (const std::exception& error) {
    mailbox.fail_reading(error);
  }
}

void write_all(Mailbox& mailbox, Wire& wire, double beat_seconds) {
  try {
    while (const auto message = mailbox.next(beat_seconds)) {
      wire.write(*message);
      mailbox.sent();
    }
  } catch (const std::exception& error) {
    mailbox.fail_writing(error);
  }
}

}  // namespace

QueuedChannel::QueuedChannel(std::shared_ptr<Mailbox> mailbox, std::unique_ptr<Wire> wire,
                             const Pulse& pulse)
    : mailbox_(std::move(mailbox)), wire_(std::move(wire)) {
  reader_ = std::thread([this] { read_all(*mailbox_, *wire_); });
  try {
    writer_ = std::thread([this, pulse] { write_all(*mailbox_, *wire_, pulse.beat_seconds); });
  } catch (...) {  // no more threads: the first must not outlive its channel
    mailbox_->end_by(std::chrono::steady_clock::now());
    wire_->stop();
    reader_.join();
    throw;
  }
}

QueuedChannel::~QueuedChannel() {
  farewell();
  mailbox_->end_by(*farewell_ends_);
  wire_->stop();
  reader_.join();
  writer_.join();
}

void QueuedChannel::farewell() {
  if (!farewell_ends_) farewell_ends_ = std::chrono::steady_clock::now() + kFarewell;
}

void QueuedChannel::send(std::uint32_t kind, std::span<const std::byte> body,
                         const std::shared_ptr<Bulk>& bulk) {
  Outgoing message;
  message.frame.kind = kind;
  message.frame.body = body.size();
  message.body.assign(body.begin(), body.end());
  if (bulk) {
    message.frame.bulk = static_cast<std::uint64_t>(bulk->bytes().numel());
    place(message.frame, *bulk);
    message.bulk = bulk;
  }
  mailbox_->post(std::move(message));
}

}  // namespace distill::dist::detail
