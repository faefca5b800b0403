#pragma once

#include <functional>

#include <distill/dist/channel.h>

#include "dist/own_segments.h"
#include "dist/queued_channel.h"
#include "dist/shared_block.h"

namespace distill::dist::detail {

/// uint8 [bytes]; `end` is called when its last copy is gone.
at::Tensor tensor_over(std::byte* data, std::uint64_t bytes, std::function<void(void*)> end);
/// The block lives as long as the tensor.
at::Tensor tensor_of(const std::shared_ptr<SharedBlock>& block, std::uint64_t bytes);

/// Data in a block that other processes can map.
class SharedBulk final : public Bulk {
 public:
  static constexpr std::uint32_t kConstant = 0xffffffff;

  SharedBulk(std::shared_ptr<SharedBlock> block, std::uint64_t bytes, std::uint32_t segment);
  const SharedBlock& block() const { return *block_; }
  /// Its place among the segments of a channel; kConstant: of no channel.
  std::uint32_t segment() const { return segment_; }
  bool is_constant() const { return segment_ == kConstant; }

 private:
  std::shared_ptr<SharedBlock> block_;
  std::uint32_t segment_;
};

/// Messages go over a socket of this machine, their data through memory that goes along as a file.
/// A sender has a few segments of memory; a receiver says when it needs the data no more.
class SharedChannel final : public QueuedChannel {
 public:
  SharedChannel(Descriptor socket, const std::string& who, const Pulse& pulse = {});

  std::shared_ptr<Bulk> make_bulk(std::uint64_t bytes) override;
  bool shares_memory() const override { return true; }

 private:
  SharedChannel(Descriptor socket, const std::string& who, const Pulse& pulse,
                std::shared_ptr<Mailbox> mailbox, std::shared_ptr<OwnSegments> own);
  void place(Frame& frame, const Bulk& bulk) override;

  std::shared_ptr<OwnSegments> own_;
};

}  // namespace distill::dist::detail
