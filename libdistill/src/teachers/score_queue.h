#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <distill/types/segment_key.h>

#include "teachers/client_set.h"
#include "teachers/top_k_rows.h"

namespace distill::teachers::detail {

/// Segments whose scores are asked for in the background, in the order in which they came, by a
/// thread for each client.
class ScoreQueue {
 public:
  using Ask = std::function<TopKRows(OpenAiClient&, const std::vector<std::int64_t>&)>;

  /// A segment that was asked for. When nobody holds it any more before its turn, it is not asked.
  class Ticket {
   public:
    explicit Ticket(std::vector<std::int64_t> ids) : ids_(std::move(ids)) {}
    /// Waits; throws what asking threw.
    const TopKRows& rows() const { return rows_.get(); }

   private:
    friend class ScoreQueue;
    std::vector<std::int64_t> ids_;
    std::promise<TopKRows> promise_;
    std::shared_future<TopKRows> rows_ = promise_.get_future().share();
  };

  /// `clients` must outlive it, and be cancelled before it ends.
  ScoreQueue(ClientSet& clients, Ask ask);
  ~ScoreQueue();
  ScoreQueue(const ScoreQueue&) = delete;
  ScoreQueue& operator=(const ScoreQueue&) = delete;

  /// The ticket of an equal segment that is not answered yet, or a new one: at the end of the
  /// queue, or before all others where somebody waits for it now.
  std::shared_ptr<Ticket> add(const types::SegmentKey& key, std::vector<std::int64_t> ids,
                              bool urgent);

 private:
  struct Entry {
    types::SegmentKey key;
    std::weak_ptr<Ticket> ticket;
  };
  void work(OpenAiClient& client);
  std::shared_ptr<Ticket> next(types::SegmentKey& key);

  Ask ask_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::deque<Entry> waiting_;
  std::map<types::SegmentKey, std::weak_ptr<Ticket>> open_;  ///< not answered yet
  std::vector<std::thread> threads_;
};

}  // namespace distill::teachers::detail
