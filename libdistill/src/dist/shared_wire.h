#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "dist/mailbox.h"
#include "dist/own_segments.h"
#include "dist/socket_io.h"
#include "dist/wire.h"

namespace distill::dist::detail {

/// A socket of this machine for messages; their data lies in memory that comes along as a file.
class SharedWire final : public Wire {
 public:
  /// `releases`: where what the tensors of received data say at their end is posted.
  SharedWire(Descriptor socket, std::string who, double gone_seconds,
             std::shared_ptr<OwnSegments> own, std::weak_ptr<Mailbox> releases)
      : socket_(std::move(socket), std::move(who)),
        gone_seconds_(gone_seconds),
        own_(std::move(own)),
        releases_(std::move(releases)) {}

  Frame read_frame() override;
  std::optional<Message> read_rest(const Frame& frame) override;
  void write(const Outgoing& message) override;
  void stop() noexcept override { socket_.shut_down(); }

 private:
  at::Tensor take_bulk(const Frame& frame);
  std::shared_ptr<SharedBlock> block_of(const Frame& frame);

  LocalSocket socket_;
  double gone_seconds_;  ///< a message that has begun comes whole in so many
  std::shared_ptr<OwnSegments> own_;
  std::weak_ptr<Mailbox> releases_;
  // Of the thread that reads.
  Descriptor file_;                                               ///< came with the frame
  std::map<std::uint32_t, std::shared_ptr<SharedBlock>> others_;  ///< the other end's segments
};

}  // namespace distill::dist::detail
