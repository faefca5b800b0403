#pragma once

#include <mutex>
#include <string>

#include "dist/c10d_backend.h"
#include "dist/wire.h"

namespace distill::dist::detail {

/// Two ranks of a group of their own. c10d sends only to an end that receives, and closes a
/// connection when a wait for it runs out of time: so a machine that has vanished is noticed.
class C10dWire final : public Wire {
 public:
  /// `store` is kept as long as the group. `peer`: the other one's rank.
  C10dWire(c10::intrusive_ptr<c10d::Store> store, c10::intrusive_ptr<c10d::Backend> group, int peer,
           std::string who, double gone_seconds)
      : store_(std::move(store)),
        group_(std::move(group)),
        peer_(peer),
        who_(std::move(who)),
        gone_seconds_(gone_seconds) {}

  Frame read_frame() override;
  std::optional<Message> read_rest(const Frame& frame) override;
  void write(const Outgoing& message) override;
  void stop() noexcept override;

 private:
  using Work = c10::intrusive_ptr<c10d::Work>;

  void read(const at::Tensor& bytes, int tag);
  void write(const at::Tensor& bytes, int tag);

  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::Backend> group_;
  int peer_;
  std::string who_;
  double gone_seconds_;
  std::mutex mutex_;  ///< guards what follows
  Work reading_;      ///< what a thread waits for
  Work writing_;
  bool ending_ = false;
};

}  // namespace distill::dist::detail
