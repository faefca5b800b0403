#include "dist/shared_wire.h"

#include <exception>
#include <utility>

#include "dist/shared_channel.h"

namespace distill::dist::detail {

Frame SharedWire::read_frame() {
  socket_.wait();
  Frame frame;
  file_ = Descriptor();
  socket_.receive(std::as_writable_bytes(std::span(&frame, 1)), deadline_in(gone_seconds_), &file_);
  return frame;
}

std::optional<Message> SharedWire::read_rest(const Frame& frame) {
  const bool expects_file = (frame.flags & Frame::kWithDescriptor) != 0;
  if (expects_file != static_cast<bool>(file_) || (expects_file && frame.bulk == 0)) {
    fail<DistributedError>(socket_.who(), ": a message whose file and flags do not agree");
  }
  if (frame.kind == Frame::kRelease) own_->release(frame.segment);
  if (frame.is_of_channel()) return std::nullopt;
  Message message;
  message.kind = frame.kind;
  message.body.resize(frame.body);
  socket_.receive(message.body, deadline_in(gone_seconds_));
  if (frame.bulk > 0) message.bulk = take_bulk(frame);
  return message;
}

/// The other end's memory in which the data of a message lies.
std::shared_ptr<SharedBlock> SharedWire::block_of(const Frame& frame) {
  const std::string& who = socket_.who();
  const bool is_constant = (frame.flags & Frame::kConstant) != 0;
  if (file_) {
    auto block = SharedBlock::open(std::move(file_), frame.bulk, is_constant, who);
    if (is_constant) return block;
    if (frame.segment >= kMostSegments) {
      fail<DistributedError>(who, ": has more than ", kMostSegments, " pieces of shared memory");
    }
    return others_[frame.segment] = std::move(block);
  }
  const auto found = others_.find(frame.segment);
  if (is_constant || found == others_.end()) {
    fail<DistributedError>(who, ": says that ", frame.bulk,
                           " bytes lie in shared memory that it did not send");
  }
  auto& block = found->second;
  if (block->size() < frame.bulk) block = block->with_size(frame.bulk, who);
  return block;
}

at::Tensor SharedWire::take_bulk(const Frame& frame) {
  const auto block = block_of(frame);
  if ((frame.flags & Frame::kConstant) != 0) return tensor_of(block, frame.bulk);
  const auto let_go = [block, mailbox = releases_, segment = frame.segment](void*) {
    const auto open = mailbox.lock();
    if (!open) return;
    try {
      Outgoing released;
      released.frame.kind = Frame::kRelease;
      released.frame.segment = segment;
      open->post(std::move(released));
    } catch (const std::exception&) {  // the other end is gone: who receives hears of it
    }
  };
  return tensor_over(block->data(), frame.bulk, let_go);
}

void SharedWire::write(const Outgoing& message) {
  int file = -1;
  if ((message.frame.flags & Frame::kWithDescriptor) != 0) {
    file = dynamic_cast<const SharedBulk&>(*message.bulk).block().descriptor();
  }
  socket_.send(std::as_bytes(std::span(&message.frame, 1)), file);
  socket_.send(message.body);
}

}  // namespace distill::dist::detail
