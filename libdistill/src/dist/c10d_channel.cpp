#include "dist/c10d_channel.h"

#include <chrono>
#include <cstring>

#include <ATen/ops/empty.h>

namespace distill::dist::detail {

namespace {

using namespace std::chrono_literals;

// Part of the protocol, do not change.
constexpr int kFrameTag = 1;
constexpr int kBodyTag = 2;
constexpr int kBulkTag = 3;

/// What was sent last may be on its way when a channel ends.
constexpr std::chrono::milliseconds kFarewell = 2s;
/// The thread waits as long as there is a connection.
constexpr std::chrono::milliseconds kEver = std::chrono::hours(24 * 365);
/// Messages that wait to be taken, or to be sent.
constexpr std::size_t kMostWaiting = 64;

at::Tensor bytes_tensor(std::uint64_t bytes) {
  return at::empty({static_cast<std::int64_t>(bytes)}, at::TensorOptions(at::kByte));
}

at::Tensor copy_of(std::span<const std::byte> bytes) {
  at::Tensor copy = bytes_tensor(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.data_ptr(), bytes.data(), bytes.size());
  return copy;
}

}  // namespace

std::string reason_of(const std::exception& error) {
  std::string text = error.what();
  text = text.substr(0, text.find('\n'));
  const auto end_of_place = text.find("] ");
  if (text.starts_with('[') && end_of_place != std::string::npos) {
    text = text.substr(end_of_place + 2);
  }
  return core::printable(text, 80);
}

C10dChannel::C10dChannel(c10::intrusive_ptr<c10d::Store> store,
                         c10::intrusive_ptr<c10d::Backend> group, int peer, std::string who)
    : store_(std::move(store)),
      group_(std::move(group)),
      peer_(peer),
      who_(std::move(who)),
      reader_([this] { read(); }),
      writer_([this] { write(); }) {}

C10dChannel::~C10dChannel() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kFarewell, [this] { return outbox_.empty() || !error_.empty(); });
    ending_ = true;
    if (reading_) reading_->abort();
    if (writing_) writing_->abort();
  }
  changed_.notify_all();
  reader_.join();
  writer_.join();
}

/// False: aborted. Throws what c10d throws.
bool C10dChannel::fill(const at::Tensor& bytes, int tag) {
  std::vector<at::Tensor> tensors = {bytes};
  Work work;
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return false;
    work = group_->recv(tensors, peer_, tag);
    reading_ = work;
  }
  const bool done = work->wait(kEver);
  const std::lock_guard lock(mutex_);
  reading_ = {};
  return done && !ending_;
}

/// Throws when the channel is closed, or what the other end sends is no message.
Message C10dChannel::read_message() {
  const auto need = [this](const at::Tensor& bytes, int tag) {
    if (!fill(bytes, tag)) throw std::runtime_error("the channel was closed");
  };
  const at::Tensor head = bytes_tensor(sizeof(Frame));
  need(head, kFrameTag);
  Frame frame;
  std::memcpy(&frame, head.const_data_ptr(), sizeof(frame));
  {
    // The first message may be there before anybody has said what is allowed.
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ending_ || limits_.body > 0; });
    check_frame(frame, limits_, who_);
  }
  Message message;
  message.kind = frame.kind;
  if (frame.body > 0) {
    const at::Tensor body = bytes_tensor(frame.body);
    need(body, kBodyTag);
    const auto* first = static_cast<const std::byte*>(body.const_data_ptr());
    message.body.assign(first, first + frame.body);
  }
  if (frame.bulk > 0) {
    message.bulk = bytes_tensor(frame.bulk);
    need(message.bulk, kBulkTag);
  }
  return message;
}

void C10dChannel::read() {
  try {
    while (true) {
      Message message = read_message();
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return ending_ || inbox_.size() < kMostWaiting; });
      if (ending_) return;
      inbox_.push_back(std::move(message));
      changed_.notify_all();
    }
  } catch (const std::exception& error) {
    fail_with(error);
  }
}

void C10dChannel::fail_with(const std::exception& error) {
  {
    const std::lock_guard lock(mutex_);
    const bool is_told = dynamic_cast<const DistributedError*>(&error) != nullptr;
    if (error_.empty()) {
      error_ = is_told ? error.what() : core::concat(who_, ": is gone (", reason_of(error), ")");
    }
  }
  changed_.notify_all();
}

std::optional<Message> C10dChannel::receive(double seconds) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                    [this] { return !inbox_.empty() || !error_.empty(); });
  if (inbox_.empty()) {
    if (!error_.empty()) throw DistributedError(error_);
    return std::nullopt;
  }
  Message message = std::move(inbox_.front());
  inbox_.pop_front();
  changed_.notify_all();
  return message;
}

void C10dChannel::set_limits(const ChannelLimits& limits) {
  {
    const std::lock_guard lock(mutex_);
    limits_ = limits;
  }
  changed_.notify_all();
}

std::shared_ptr<Bulk> C10dChannel::make_bulk(std::uint64_t bytes) {
  return std::make_shared<Bulk>(bytes_tensor(bytes));
}

/// False: aborted. Throws what c10d throws.
bool C10dChannel::write_tensor(const at::Tensor& bytes, int tag) {
  if (!bytes.defined()) return true;
  std::vector<at::Tensor> tensors = {bytes};
  Work work;
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return false;
    work = group_->send(tensors, peer_, tag);
    writing_ = work;
  }
  const bool done = work->wait(kEver);
  const std::lock_guard lock(mutex_);
  writing_ = {};
  return done && !ending_;
}

void C10dChannel::write() {
  try {
    while (true) {
      Outgoing next;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return ending_ || !outbox_.empty(); });
        if (ending_) return;
        next = outbox_.front();
      }
      const bool sent = write_tensor(next.frame, kFrameTag) && write_tensor(next.body, kBodyTag) &&
                        write_tensor(next.bulk, kBulkTag);
      if (!sent) return;
      const std::lock_guard lock(mutex_);
      outbox_.pop_front();
      changed_.notify_all();
    }
  } catch (const std::exception& error) {
    fail_with(error);
  }
}

void C10dChannel::send(std::uint32_t kind, std::span<const std::byte> body,
                       const std::shared_ptr<Bulk>& bulk) {
  Frame frame;
  frame.kind = kind;
  frame.body = body.size();
  frame.bulk = bulk ? static_cast<std::uint64_t>(bulk->bytes().numel()) : 0;
  Outgoing message{copy_of(std::as_bytes(std::span(&frame, 1))), {}, {}, bulk};
  if (!body.empty()) message.body = copy_of(body);
  if (bulk) message.bulk = bulk->bytes();
  {
    const std::lock_guard lock(mutex_);
    if (!error_.empty()) throw DistributedError(error_);
    if (outbox_.size() == kMostWaiting) {
      fail<DistributedError>(who_, ": takes no messages; ", kMostWaiting, " wait for it");
    }
    outbox_.push_back(std::move(message));
  }
  changed_.notify_all();
}

}  // namespace distill::dist::detail
