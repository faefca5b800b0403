#include <distill/teachers/server_pool.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <random>
#include <thread>

#include <distill/core/strings.h>

namespace distill::teachers {

namespace {

constexpr std::int64_t kMaxParallel = 1024;
/// A wrong address should be told soon.
constexpr std::int64_t kRetriesAtStart = 2;

class OneAtATime final : public core::Logger {
 public:
  explicit OneAtATime(core::Logger& log) : log_(log) {}
  void write(core::LogLevel level, std::string_view message) override {
    const std::lock_guard lock(mutex_);
    log_.write(level, message);
  }

 private:
  core::Logger& log_;
  std::mutex mutex_;
};

bool is_cancelled(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const io::HttpError& seen) {
    return seen.failure() == io::HttpFailure::kCancelled;
  } catch (...) {
    return false;
  }
}

bool sends_key_openly(const ServerOptions& options) {
  if (options.api_key.empty() || !options.url.starts_with("http://")) return false;
  const std::string host = options.url.substr(7);
  return !host.starts_with("127.0.0.1") && !host.starts_with("localhost") &&
         !host.starts_with("[::1]");
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
    : log_(std::make_unique<OneAtATime>(log)), stop_(stop) {
  if (options.parallel < 1 || options.parallel > kMaxParallel) {
    fail<InputError>("requests at one time must be 1 to ", kMaxParallel, ", they are ",
                     options.parallel);
  }
  const auto cancelled = [this] { return abandoned_ || (stop_ != nullptr && stop_->requested()); };
  clock_ = io::make_system_clock(cancelled);
  std::random_device seeds;
  const auto make_client = [&](const ServerOptions& its_options) {
    return std::make_unique<OpenAiClient>(its_options, ClientContext{.log = *log_,
                                                                     .clock = *clock_,
                                                                     .retries = retries_,
                                                                     .cancelled = cancelled,
                                                                     .random_seed = seeds()});
  };
  ServerOptions hasty = options;
  hasty.retry.max_retries = std::min(options.retry.max_retries, kRetriesAtStart);
  make_client(hasty)->require_model();
  if (sends_key_openly(options)) {
    log_->warning(options.url, ": the API key goes there without encryption; use https");
  }
  for (std::int64_t i = 0; i < options.parallel; ++i) clients_.push_back(make_client(options));
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

void ServerPool::run(std::size_t count,
                     const std::function<void(OpenAiClient&, std::size_t)>& ask) {
  Work work{.count = count, .ask = ask};
  abandoned_ = false;
  {
    std::vector<std::jthread> threads;  // joined on every way out
    for (std::size_t i = 0; i < std::min(count, clients_.size()); ++i) {
      threads.emplace_back([&, i] { this->work(*clients_[i], work); });
    }
  }
  if (work.error) std::rethrow_exception(work.error);
}

}  // namespace distill::teachers
