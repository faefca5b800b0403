#include "teachers/client_set.h"

#include <algorithm>
#include <mutex>
#include <random>
#include <string_view>
#include <utility>

namespace distill::teachers::detail {

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

bool sends_key_openly(const ServerOptions& options) {
  return !options.api_key.empty() && options.url.starts_with("http://") &&
         !io::is_loopback_url(options.url);
}

}  // namespace

ClientSet::ClientSet(const ServerOptions& options, core::Logger& log,
                     std::function<bool()> cancelled)
    : log_(std::make_unique<OneAtATime>(log)), clock_(io::make_system_clock(cancelled)) {
  if (options.parallel < 1 || options.parallel > kMaxParallel) {
    fail<InputError>("requests at one time must be 1 to ", kMaxParallel, ", they are ",
                     options.parallel);
  }
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
  const auto first = make_client(hasty);  // which refuses what is no URL
  if (sends_key_openly(options)) {
    log_->warning(options.url, ": the API key goes there without encryption; use https");
  }
  max_tokens_ = first->require_model();
  for (std::int64_t i = 0; i < options.parallel; ++i) clients_.push_back(make_client(options));
}

}  // namespace distill::teachers::detail
