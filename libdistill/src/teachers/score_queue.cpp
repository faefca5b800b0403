#include "teachers/score_queue.h"

#include <exception>
#include <utility>

namespace distill::teachers::detail {

ScoreQueue::ScoreQueue(ClientSet& clients, Ask ask) : ask_(std::move(ask)) {
  for (std::size_t i = 0; i < clients.size(); ++i) {
    threads_.emplace_back([this, &client = clients[i]] { work(client); });
  }
}

ScoreQueue::~ScoreQueue() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

std::shared_ptr<ScoreQueue::Ticket> ScoreQueue::add(const types::SegmentKey& key,
                                                    std::vector<std::int64_t> ids, bool urgent) {
  const std::lock_guard lock(mutex_);
  auto& open = open_[key];
  if (auto same = open.lock()) return same;
  auto ticket = std::make_shared<Ticket>(std::move(ids));
  open = ticket;
  if (urgent) {
    waiting_.push_front({key, ticket});
  } else {
    waiting_.push_back({key, ticket});
  }
  changed_.notify_one();
  return ticket;
}

/// Null at the end.
std::shared_ptr<ScoreQueue::Ticket> ScoreQueue::next(types::SegmentKey& key) {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (ending_) return nullptr;
    key = waiting_.front().key;
    auto ticket = waiting_.front().ticket.lock();
    waiting_.pop_front();
    if (ticket) return ticket;
    const auto open = open_.find(key);
    if (open != open_.end() && open->second.expired()) open_.erase(open);
  }
}

void ScoreQueue::work(OpenAiClient& client) {
  types::SegmentKey key;
  while (const auto ticket = next(key)) {
    std::exception_ptr error;
    TopKRows rows;
    try {
      rows = ask_(client, ticket->ids_);
    } catch (...) {
      error = std::current_exception();
    }
    {
      // First: who finds it open may rely on an answer that is still to come.
      const std::lock_guard lock(mutex_);
      open_.erase(key);
    }
    if (error) {
      ticket->promise_.set_exception(error);
    } else {
      ticket->promise_.set_value(std::move(rows));
    }
  }
}

}  // namespace distill::teachers::detail
