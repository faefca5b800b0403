#include "data/batch_queue.h"

#include <optional>
#include <utility>

#include "data/start_thread.h"

namespace distill::data {

BatchQueue::BatchQueue(Make make, std::int64_t stride, std::int64_t depth)
    : make_(std::move(make)), stride_(stride), depth_(static_cast<std::size_t>(depth)) {}

BatchQueue::~BatchQueue() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wanted_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BatchQueue::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wanted_.wait(lock, [this] { return stop_ || (!error_ && ready_.size() < depth_); });
    if (stop_) return;
    const std::int64_t position = ahead_;
    const std::uint64_t generation = generation_;
    lock.unlock();
    std::optional<types::Batch> batch;
    std::exception_ptr error;
    try {
      batch = make_(position);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (generation != generation_) continue;
    if (error) {
      error_ = std::move(error);
    } else {
      ready_.push_back(std::move(*batch));
      ahead_ += stride_;
    }
    made_.notify_one();
  }
}

types::Batch BatchQueue::next() {
  if (depth_ == 0) {
    types::Batch batch = make_(position_);
    position_ += stride_;
    return batch;
  }
  if (!thread_.joinable()) thread_ = start_thread([this] { run(); });
  std::unique_lock lock(mutex_);
  made_.wait(lock, [this] { return !ready_.empty() || error_; });
  if (ready_.empty()) {
    std::exception_ptr error = std::exchange(error_, nullptr);
    wanted_.notify_one();
    std::rethrow_exception(std::move(error));
  }
  types::Batch batch = std::move(ready_.front());
  ready_.pop_front();
  position_ += stride_;
  wanted_.notify_one();
  return batch;
}

std::int64_t BatchQueue::position() const {
  const std::lock_guard lock(mutex_);
  return position_;
}

void BatchQueue::seek(std::int64_t position) {
  {
    const std::lock_guard lock(mutex_);
    ready_.clear();
    error_ = nullptr;
    position_ = position;
    ahead_ = position;
    ++generation_;
  }
  wanted_.notify_one();
}

}  // namespace distill::data
