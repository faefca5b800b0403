#include "dist/c10d_channel.h"

#include <utility>

#include <ATen/ops/empty.h>

#include "dist/c10d_wire.h"

namespace distill::dist::detail {

C10dChannel::C10dChannel(c10::intrusive_ptr<c10d::Store> store,
                         c10::intrusive_ptr<c10d::Backend> group, int peer, const std::string& who,
                         const Pulse& pulse)
    : QueuedChannel(std::make_shared<Mailbox>(who, /*holds_data=*/true),
                    std::make_unique<C10dWire>(std::move(store), std::move(group), peer, who,
                                               pulse.gone_seconds),
                    pulse) {}

std::shared_ptr<Bulk> C10dChannel::make_bulk(std::uint64_t bytes) {
  return std::make_shared<Bulk>(
      at::empty({static_cast<std::int64_t>(bytes)}, at::TensorOptions(at::kByte)));
}

}  // namespace distill::dist::detail
