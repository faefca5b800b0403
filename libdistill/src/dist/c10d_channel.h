#pragma once

#include <memory>
#include <string>

#include <distill/dist/channel.h>

#include "dist/c10d_backend.h"
#include "dist/queued_channel.h"

namespace distill::dist::detail {

/// Messages between two ranks of a group of their own; all is copied.
class C10dChannel final : public QueuedChannel {
 public:
  /// `store` is kept as long as the channel. `peer`: the other one's rank.
  C10dChannel(c10::intrusive_ptr<c10d::Store> store, c10::intrusive_ptr<c10d::Backend> group,
              int peer, const std::string& who, const Pulse& pulse);

  std::shared_ptr<Bulk> make_bulk(std::uint64_t bytes) override;
  bool shares_memory() const override { return false; }

 private:
  void place(Frame&, const Bulk&) override {}
};

}  // namespace distill::dist::detail
