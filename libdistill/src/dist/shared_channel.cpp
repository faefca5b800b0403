#include "dist/shared_channel.h"

#include <algorithm>
#include <chrono>

#include <ATen/ops/from_blob.h>

namespace distill::dist::detail {

namespace {

/// Of one channel. An end that asks for more keeps what it was sent.
constexpr std::size_t kMostSegments = 32;
/// Segments are a whole number of these, so that the next batch fits too.
constexpr std::uint64_t kGrain = 64 << 10;
/// Messages that came while this end was sending.
constexpr std::size_t kMostWaiting = 1024;

at::Tensor tensor_over(std::byte* data, std::uint64_t bytes, std::function<void(void*)> end) {
  return at::from_blob(data, {static_cast<std::int64_t>(bytes)}, std::move(end),
                       at::TensorOptions(at::kByte));
}

/// The block lives as long as the tensor.
at::Tensor tensor_of(const std::shared_ptr<SharedBlock>& block, std::uint64_t bytes) {
  return tensor_over(block->data(), bytes, [block](void*) {});
}

}  // namespace

SharedBulk::SharedBulk(std::shared_ptr<SharedBlock> block, std::uint64_t bytes,
                       std::uint32_t segment)
    : Bulk(tensor_of(block, bytes)), block_(std::move(block)), segment_(segment) {}

SharedChannel::SharedChannel(Descriptor socket, std::string who)
    : wire_(new Wire{{std::move(socket), std::move(who)}, {}}) {}

void SharedChannel::Wire::send(const Frame& frame, std::span<const std::byte> body, int file) {
  const std::lock_guard lock(sending);
  socket.send(std::as_bytes(std::span(&frame, 1)), file);
  socket.send(body);
}

/// A free segment that is large enough, grown or added where there is none.
std::size_t SharedChannel::free_segment(std::uint64_t bytes) {
  const auto is_free = [](const Segment& segment) { return !segment.busy; };
  auto found = std::ranges::find_if(own_, [&](const Segment& segment) {
    return is_free(segment) && segment.block->size() >= bytes;
  });
  if (found == own_.end()) {
    found = std::ranges::find_if(own_, is_free);
    if (found == own_.end()) {
      if (own_.size() == kMostSegments) {
        fail<DistributedError>(wire_->socket.who(), ": keeps all of ", kMostSegments,
                               " pieces of data that were sent to it");
      }
      found = own_.insert(own_.end(), Segment{});
    }
    *found = {};  // given back before its successor is taken
    found->block = SharedBlock::create((bytes + kGrain - 1) / kGrain * kGrain);
  }
  found->busy = true;
  return static_cast<std::size_t>(found - own_.begin());
}

std::shared_ptr<Bulk> SharedChannel::make_bulk(std::uint64_t bytes) {
  // What was let go of meanwhile is used again.
  while (wire_->socket.wait(0)) take_frame();
  const std::lock_guard lock(mutex_);
  const std::size_t segment = free_segment(bytes);
  return std::make_shared<SharedBulk>(own_[segment].block, bytes,
                                      static_cast<std::uint32_t>(segment));
}

void SharedChannel::send(std::uint32_t kind, std::span<const std::byte> body,
                         const std::shared_ptr<Bulk>& bulk) {
  Frame frame;
  frame.kind = kind;
  frame.body = body.size();
  if (!bulk) return wire_->send(frame, body, -1);
  const auto* shared = dynamic_cast<const SharedBulk*>(bulk.get());
  if (shared == nullptr) fail<InputError>("data for a shared channel was made by another one");
  frame.bulk = static_cast<std::uint64_t>(bulk->bytes().numel());
  frame.segment = shared->segment();
  bool tell = true;
  if (shared->is_constant()) {
    frame.flags = Frame::kConstant;
  } else {
    const std::lock_guard lock(mutex_);
    tell = !std::exchange(own_.at(shared->segment()).told, true);
  }
  if (tell) frame.flags |= Frame::kWithDescriptor;
  wire_->send(frame, body, tell ? shared->block().descriptor() : -1);
}

void SharedChannel::set_limits(const ChannelLimits& limits) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
}

void SharedChannel::release(std::uint32_t segment) {
  const std::lock_guard lock(mutex_);
  if (segment >= own_.size() || !own_[segment].busy) {
    fail<DistributedError>(wire_->socket.who(), ": lets go of data that it does not have");
  }
  own_[segment].busy = false;
}

/// The other end's memory in which the data of a message lies.
std::shared_ptr<SharedBlock> SharedChannel::block_of(const Frame& frame, Descriptor file) {
  const std::string& who = wire_->socket.who();
  const bool is_constant = (frame.flags & Frame::kConstant) != 0;
  if (file) {
    auto block = SharedBlock::open(std::move(file), frame.bulk, is_constant, who);
    if (is_constant) return block;
    if (frame.segment >= kMostSegments) {
      fail<DistributedError>(who, ": has more than ", kMostSegments, " pieces of shared memory");
    }
    return others_[frame.segment] = std::move(block);
  }
  const auto found = others_.find(frame.segment);
  if (is_constant || found == others_.end() || found->second->size() < frame.bulk) {
    fail<DistributedError>(who, ": says that ", frame.bulk,
                           " bytes lie in shared memory that it did not send");
  }
  return found->second;
}

at::Tensor SharedChannel::take_bulk(const Frame& frame, Descriptor file) {
  const auto block = block_of(frame, std::move(file));
  if ((frame.flags & Frame::kConstant) != 0) return tensor_of(block, frame.bulk);
  const std::weak_ptr<Wire> wire = wire_;
  return tensor_over(block->data(), frame.bulk, [block, wire, segment = frame.segment](void*) {
    const auto open = wire.lock();
    if (!open) return;
    Frame released;
    released.kind = Frame::kRelease;
    released.segment = segment;
    try {
      open->send(released, {}, -1);
    } catch (const Error&) {  // the other end is gone: who receives hears of it
    }
  });
}

/// Reads one message to its end; what is for the channel itself goes no further.
void SharedChannel::take_frame() {
  LocalSocket& socket = wire_->socket;
  Frame frame;
  Descriptor file;
  socket.receive(std::as_writable_bytes(std::span(&frame, 1)), &file);
  {
    const std::lock_guard lock(mutex_);
    check_frame(frame, limits_, socket.who());
  }
  const bool expects_file = (frame.flags & Frame::kWithDescriptor) != 0;
  if (expects_file != static_cast<bool>(file) || (expects_file && frame.bulk == 0)) {
    fail<DistributedError>(socket.who(), ": a message whose file and flags do not agree");
  }
  if (frame.kind == Frame::kRelease) return release(frame.segment);
  if (inbox_.size() == kMostWaiting) {
    fail<DistributedError>(socket.who(), ": sent ", kMostWaiting, " messages at once");
  }
  Message message;
  message.kind = frame.kind;
  message.body.resize(frame.body);
  socket.receive(message.body);
  if (frame.bulk > 0) message.bulk = take_bulk(frame, std::move(file));
  inbox_.push_back(std::move(message));
}

std::optional<Message> SharedChannel::receive(double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (inbox_.empty()) {
    const std::chrono::duration<double> left = end - Clock::now();
    if (!wire_->socket.wait(left.count())) return std::nullopt;
    take_frame();
  }
  Message message = std::move(inbox_.front());
  inbox_.pop_front();
  return message;
}

}  // namespace distill::dist::detail
