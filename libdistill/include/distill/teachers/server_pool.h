#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include <distill/core/log.h>
#include <distill/core/stop_flag.h>
#include <distill/teachers/openai_client.h>

namespace distill::teachers {

namespace detail {
class ClientSet;
}

/// Several clients of one server, each in a thread of its own while there is work.
///
///     ServerPool pool(options, log, stop);
///     pool.run(prompts.size(), [&](OpenAiClient& client, std::size_t i) {
///       answers[i] = client.chat(...);
///     });
class ServerPool {
 public:
  /// Asks the server for its models first, with few retries. Throws as OpenAiClient does, and
  /// InputError where the model is not served. `log` and `stop` (may be null) must outlive it.
  ServerPool(const ServerOptions& options, core::Logger& log, const core::StopFlag* stop);
  ~ServerPool();

  /// Calls `ask` for 0 .. count-1, in that order but several at a time. What one throws ends the
  /// others and is thrown here; where `stop` is requested that is an io::HttpError of kind
  /// kCancelled.
  void run(std::size_t count, const std::function<void(OpenAiClient&, std::size_t)>& ask);

  std::int64_t num_retries() const;

 private:
  struct Work;
  void work(OpenAiClient& client, Work& work);

  const core::StopFlag* stop_;
  std::atomic<bool> abandoned_{false};
  std::unique_ptr<detail::ClientSet> clients_;
};

}  // namespace distill::teachers
