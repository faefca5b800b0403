#pragma once

#include <algorithm>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <distill/types/segment_key.h>

namespace distill::teachers {

/// What was begun for announced batches, until they are asked for. Batches are asked for in the
/// order of their announcement; those that were skipped are dropped on the way. Any thread may use
/// it.
template <class Answer>
class Announced {
 public:
  void add(std::vector<types::SegmentKey> keys, Answer answer) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace_back(std::move(keys), std::move(answer));
  }

  /// The answer of the batch with these keys; nothing where it was not announced.
  std::optional<Answer> take(const std::vector<types::SegmentKey>& keys) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                    [&](const auto& entry) { return entry.first == keys; });
    if (found == waiting_.end()) return std::nullopt;
    std::optional<Answer> answer = std::move(found->second);
    waiting_.erase(waiting_.begin(), found + 1);
    return answer;
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::deque<std::pair<std::vector<types::SegmentKey>, Answer>> waiting_;
};

}  // namespace distill::teachers
