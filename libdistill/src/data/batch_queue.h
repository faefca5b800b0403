#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include <distill/types/batch.h>

namespace distill::data {

/// Batches by position, made ahead by one thread from the first `next` on: until then nobody knows
/// where it begins. `make` is called by that thread alone (by the
/// caller when `depth` is 0), for positions that rise by `stride` until `seek`.
class BatchQueue {
 public:
  using Make = std::function<types::Batch(std::int64_t position)>;

  BatchQueue(Make make, std::int64_t stride, std::int64_t depth);
  /// Waits for the batch being made, not for more.
  ~BatchQueue();
  BatchQueue(const BatchQueue&) = delete;
  BatchQueue& operator=(const BatchQueue&) = delete;

  /// The batch at `position()`, which then moves on. What `make` threw is thrown here, the position
  /// stays, and the next call tries again. Throws Error where the system makes no thread.
  types::Batch next();
  std::int64_t position() const;
  /// What was prepared is dropped.
  void seek(std::int64_t position);

 private:
  void run();

  const Make make_;
  const std::int64_t stride_;
  const std::size_t depth_;

  mutable std::mutex mutex_;
  std::condition_variable wanted_;  ///< there is room, or the end
  std::condition_variable made_;    ///< a batch or an error is there
  std::deque<types::Batch> ready_;
  std::exception_ptr error_;
  std::int64_t position_ = 0;     ///< of the batch `next` returns
  std::int64_t ahead_ = 0;        ///< of the batch made next
  std::uint64_t generation_ = 0;  ///< counts seeks: a batch begun before one is dropped
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace distill::data
