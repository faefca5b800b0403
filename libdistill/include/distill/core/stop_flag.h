#pragma once

#include <atomic>

namespace distill::core {

/// Asks long work to end at its next safe point. Set from another thread or a signal handler.
class StopFlag {
 public:
  /// `reason` is shown to the user; a signal's number. Async-signal-safe.
  void request(int reason) noexcept { reason_.store(reason, std::memory_order_relaxed); }
  bool requested() const noexcept { return reason() != 0; }
  int reason() const noexcept { return reason_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int> reason_{0};
};

}  // namespace distill::core
