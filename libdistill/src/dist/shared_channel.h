#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include <distill/dist/channel.h>

#include "dist/frame.h"
#include "dist/shared_block.h"
#include "dist/socket_io.h"

namespace distill::dist::detail {

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
class SharedChannel final : public Channel {
 public:
  SharedChannel(Descriptor socket, std::string who);

  std::shared_ptr<Bulk> make_bulk(std::uint64_t bytes) override;
  void send(std::uint32_t kind, std::span<const std::byte> body,
            const std::shared_ptr<Bulk>& bulk) override;
  std::optional<Message> receive(double seconds) override;
  void set_limits(const ChannelLimits& limits) override;
  bool shares_memory() const override { return true; }

 private:
  /// What tensors that outlive the channel must not keep open.
  struct Wire {
    LocalSocket socket;
    std::mutex sending;
    void send(const Frame& frame, std::span<const std::byte> body, int file);
  };
  /// Memory of this end for its data.
  struct Segment {
    std::shared_ptr<SharedBlock> block;
    bool busy = false;  ///< until the other end lets go of it
    bool told = false;  ///< the other end has the file
  };

  void take_frame();
  void release(std::uint32_t segment);
  std::size_t free_segment(std::uint64_t bytes);
  at::Tensor take_bulk(const Frame& frame, Descriptor file);
  std::shared_ptr<SharedBlock> block_of(const Frame& frame, Descriptor file);

  std::shared_ptr<Wire> wire_;
  std::mutex mutex_;  ///< guards the next two
  ChannelLimits limits_;
  std::vector<Segment> own_;
  std::map<std::uint32_t, std::shared_ptr<SharedBlock>> others_;  ///< the other end's segments
  std::deque<Message> inbox_;
};

}  // namespace distill::dist::detail
