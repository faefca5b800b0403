#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include <distill/dist/channel.h>

#include "dist/c10d_backend.h"
#include "dist/frame.h"

namespace distill::dist::detail {

/// What c10d or gloo says, fit for a message of one line.
std::string reason_of(const std::exception& error);

/// Messages between two ranks of a group of their own. A thread receives and one sends: c10d closes
/// a connection when a wait for it runs out of time, and sends only to an end that receives.
class C10dChannel final : public Channel {
 public:
  /// `store` is kept as long as the channel. `peer`: the other one's rank.
  C10dChannel(c10::intrusive_ptr<c10d::Store> store, c10::intrusive_ptr<c10d::Backend> group,
              int peer, std::string who);
  ~C10dChannel() override;

  std::shared_ptr<Bulk> make_bulk(std::uint64_t bytes) override;
  void send(std::uint32_t kind, std::span<const std::byte> body,
            const std::shared_ptr<Bulk>& bulk) override;
  std::optional<Message> receive(double seconds) override;
  void set_limits(const ChannelLimits& limits) override;
  bool shares_memory() const override { return false; }

 private:
  struct Outgoing {
    at::Tensor frame, body, bulk;  ///< uint8; undefined: none
    std::shared_ptr<Bulk> keep_alive;
  };
  using Work = c10::intrusive_ptr<c10d::Work>;

  void read();
  Message read_message();
  bool fill(const at::Tensor& bytes, int tag);
  void write();
  bool write_tensor(const at::Tensor& bytes, int tag);
  void fail_with(const std::exception& error);

  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::Backend> group_;
  int peer_;
  std::string who_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  ChannelLimits limits_;
  Work reading_;  ///< what a thread waits for
  Work writing_;
  std::deque<Message> inbox_;
  std::deque<Outgoing> outbox_;  ///< its first is on its way
  std::string error_;            ///< why there are no more messages
  bool ending_ = false;
  std::thread reader_;
  std::thread writer_;
};

}  // namespace distill::dist::detail
