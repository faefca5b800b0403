#include <distill/teachers/server_pool.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <thread>

#include "teachers/client_set.h"

namespace distill::teachers {

namespace {

bool is_cancelled(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const io::HttpError& seen) {
    return seen.failure() == io::HttpFailure::kCancelled;
  } catch (...) {
    return false;
  }
}

}  // namespace

/// Of one call of `run`.
struct ServerPool::Work {
  std::size_t count = 0;
  const std::function<void(OpenAiClient&, std::size_t)>& ask;
  std::atomic<std::size_t> next{0};
  std::mutex mutex{};
  std::exception_ptr error{};  ///< the first one that is not only a consequence of another
};

ServerPool::ServerPool(const ServerOptions& options, core::Logger& log, const core::StopFlag* stop)
    : stop_(stop) {
  const auto cancelled = [this] { return abandoned_ || (stop_ != nullptr && stop_->requested()); };
  clients_ = std::make_unique<detail::ClientSet>(options, log, cancelled);
}

ServerPool::~ServerPool() = default;

void ServerPool::work(OpenAiClient& client, Work& work) {
  while (!abandoned_) {
    const std::size_t i = work.next++;
    if (i >= work.count) return;
    try {
      work.ask(client, i);
    } catch (...) {
      const std::lock_guard lock(work.mutex);
      if (!work.error || is_cancelled(work.error)) work.error = std::current_exception();
      abandoned_ = true;
    }
  }
}

std::int64_t ServerPool::num_retries() const {
  return clients_->num_retries();
}

void ServerPool::run(std::size_t count,
                     const std::function<void(OpenAiClient&, std::size_t)>& ask) {
  Work work{.count = count, .ask = ask};
  abandoned_ = false;
  {
    std::vector<std::jthread> threads;  // joined on every way out
    for (std::size_t i = 0; i < std::min(count, clients_->size()); ++i) {
      threads.emplace_back([&, i] { this->work((*clients_)[i], work); });
    }
  }
  if (work.error) std::rethrow_exception(work.error);
}

}  // namespace distill::teachers
