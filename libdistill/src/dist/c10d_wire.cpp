#include "dist/c10d_wire.h"

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <ATen/ops/empty.h>

#include <distill/core/error.h>

namespace distill::dist::detail {

namespace {

// Part of the protocol, do not change.
constexpr int kFrameTag = 1;
constexpr int kBodyTag = 2;
constexpr int kBulkTag = 3;

/// A sender waits as long as there is a connection: who does not receive may have no room.
constexpr std::chrono::milliseconds kEver = std::chrono::hours(24 * 365);
/// Of the slowest network that much data is sent over; for what comes in one piece.
constexpr double kBytesPerSecond = 1e6;

at::Tensor copy_of(std::span<const std::byte> bytes) {
  at::Tensor copy = at::empty({std::ssize(bytes)}, at::TensorOptions(at::kByte));
  if (!bytes.empty()) std::memcpy(copy.data_ptr(), bytes.data(), bytes.size());
  return copy;
}

at::Tensor room_for(std::uint64_t bytes) {
  return at::empty({static_cast<std::int64_t>(bytes)}, at::TensorOptions(at::kByte));
}

[[noreturn]] void say_closed() {
  throw std::runtime_error("the channel was closed");
}

}  // namespace

void C10dWire::read(const at::Tensor& bytes, int tag) {
  using Clock = std::chrono::steady_clock;
  std::vector<at::Tensor> tensors = {bytes};
  Work work;
  {
    const std::lock_guard lock(mutex_);
    if (ending_) say_closed();
    work = group_->recv(tensors, peer_, tag);
    reading_ = work;
  }
  const std::chrono::duration<double> patience(gone_seconds_ + static_cast<double>(bytes.numel()) /
                                                                   kBytesPerSecond);
  const auto end = Clock::now() + patience;
  bool done = false;
  try {
    done = work->wait(std::chrono::duration_cast<std::chrono::milliseconds>(patience));
  } catch (const std::exception&) {
    if (Clock::now() < end) throw;
    fail<DistributedError>(who_, ": is silent for ", core::human_seconds(patience.count()));
  }
  const std::lock_guard lock(mutex_);
  reading_ = {};
  if (!done || ending_) say_closed();
}

Frame C10dWire::read_frame() {
  const at::Tensor head = room_for(sizeof(Frame));
  read(head, kFrameTag);
  Frame frame;
  std::memcpy(&frame, head.const_data_ptr(), sizeof(frame));
  return frame;
}

std::optional<Message> C10dWire::read_rest(const Frame& frame) {
  if (frame.is_of_channel()) return std::nullopt;
  Message message;
  message.kind = frame.kind;
  if (frame.body > 0) {
    const at::Tensor body = room_for(frame.body);
    read(body, kBodyTag);
    const auto* first = static_cast<const std::byte*>(body.const_data_ptr());
    message.body.assign(first, first + frame.body);
  }
  if (frame.bulk > 0) {
    message.bulk = room_for(frame.bulk);
    read(message.bulk, kBulkTag);
  }
  return message;
}

void C10dWire::write(const at::Tensor& bytes, int tag) {
  std::vector<at::Tensor> tensors = {bytes};
  Work work;
  {
    const std::lock_guard lock(mutex_);
    if (ending_) say_closed();
    work = group_->send(tensors, peer_, tag);
    writing_ = work;
  }
  const bool done = work->wait(kEver);
  const std::lock_guard lock(mutex_);
  writing_ = {};
  if (!done || ending_) say_closed();
}

void C10dWire::write(const Outgoing& message) {
  write(copy_of(std::as_bytes(std::span(&message.frame, 1))), kFrameTag);
  if (!message.body.empty()) write(copy_of(message.body), kBodyTag);
  if (message.bulk && message.bulk->bytes().numel() > 0) write(message.bulk->bytes(), kBulkTag);
}

void C10dWire::stop() noexcept {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  try {
    if (reading_) reading_->abort();
    if (writing_) writing_->abort();
  } catch (const std::exception&) {  // it has ended by itself
  }
}

}  // namespace distill::dist::detail
