#include "dist/shared_channel.h"

#include <utility>

#include <ATen/ops/from_blob.h>

#include <distill/core/error.h>

#include "dist/shared_wire.h"

namespace distill::dist::detail {

at::Tensor tensor_over(std::byte* data, std::uint64_t bytes, std::function<void(void*)> end) {
  return at::from_blob(data, {static_cast<std::int64_t>(bytes)}, std::move(end),
                       at::TensorOptions(at::kByte));
}

at::Tensor tensor_of(const std::shared_ptr<SharedBlock>& block, std::uint64_t bytes) {
  return tensor_over(block->data(), bytes, [block](void*) {});
}

SharedBulk::SharedBulk(std::shared_ptr<SharedBlock> block, std::uint64_t bytes,
                       std::uint32_t segment)
    : Bulk(tensor_of(block, bytes)), block_(std::move(block)), segment_(segment) {}

SharedChannel::SharedChannel(Descriptor socket, const std::string& who, const Pulse& pulse)
    : SharedChannel(std::move(socket), who, pulse,
                    std::make_shared<Mailbox>(who, /*holds_data=*/false),
                    std::make_shared<OwnSegments>(who)) {}

SharedChannel::SharedChannel(Descriptor socket, const std::string& who, const Pulse& pulse,
                             std::shared_ptr<Mailbox> mailbox, std::shared_ptr<OwnSegments> own)
    : QueuedChannel(
          mailbox,
          std::make_unique<SharedWire>(std::move(socket), who, pulse.gone_seconds, own, mailbox),
          pulse),
      own_(std::move(own)) {}

std::shared_ptr<Bulk> SharedChannel::make_bulk(std::uint64_t bytes) {
  const auto place = own_->take(bytes);
  return std::make_shared<SharedBulk>(place.block, bytes, place.segment);
}

void SharedChannel::place(Frame& frame, const Bulk& bulk) {
  const auto* shared = dynamic_cast<const SharedBulk*>(&bulk);
  if (shared == nullptr) fail<InputError>("data for a shared channel was made by another one");
  frame.segment = shared->segment();
  bool tell = true;
  if (shared->is_constant()) {
    frame.flags = Frame::kConstant;
  } else {
    tell = own_->tell(shared->segment());
  }
  if (tell) frame.flags |= Frame::kWithDescriptor;
}

}  // namespace distill::dist::detail
