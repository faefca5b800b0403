#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <distill/core/log.h>
#include <distill/core/stop_flag.h>
#include <distill/io/retry.h>
#include <distill/teachers/openai_client.h>

namespace distill::teachers::detail {

/// Whether a request ended because its program is to stop.
inline bool is_stop(const io::HttpError& error, const core::StopFlag* stop) {
  return error.failure() == io::HttpFailure::kCancelled && stop != nullptr && stop->requested();
}

/// Several clients of one server, for a thread each, with one log and one count of retries.
class ClientSet {
 public:
  /// Asks the server for its models first, with few retries. `cancelled` ends what clients wait
  /// for. Throws as OpenAiClient does, and InputError where the model is not served. `log` must
  /// outlive it.
  ClientSet(const ServerOptions& options, core::Logger& log, std::function<bool()> cancelled);

  std::size_t size() const { return clients_.size(); }
  OpenAiClient& operator[](std::size_t i) { return *clients_[i]; }
  std::int64_t num_retries() const { return retries_; }
  /// Tokens that the model reads and writes at most, where the server says so.
  std::optional<std::int64_t> max_tokens() const { return max_tokens_; }
  /// The caller's, for one thread at a time.
  core::Logger& log() { return *log_; }
  /// False: cancelled.
  bool wait(double seconds) { return clock_->wait(seconds); }

 private:
  std::unique_ptr<core::Logger> log_;
  std::atomic<std::int64_t> retries_{0};
  std::unique_ptr<io::RetryClock> clock_;
  std::optional<std::int64_t> max_tokens_;
  std::vector<std::unique_ptr<OpenAiClient>> clients_;
};

}  // namespace distill::teachers::detail
