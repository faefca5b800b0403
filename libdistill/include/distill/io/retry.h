#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <distill/core/log.h>
#include <distill/core/random.h>
#include <distill/io/http.h>

namespace distill::io {

struct RetryOptions {
  std::int64_t max_retries = 8;    ///< of one request
  double first_wait = 0.5;         ///< seconds; doubles with each retry
  double longest_wait = 30;        ///< seconds
  double longest_asked_wait = 60;  ///< seconds: a server's Retry-After counts up to this
  double total_seconds = 1800;     ///< no retry of a request begins later than this
};

/// Time as retries see it; another one in tests.
class RetryClock {
 public:
  virtual ~RetryClock() = default;
  virtual double seconds() = 0;       ///< since any moment; never goes back
  virtual double unix_seconds() = 0;  ///< since 1970, for a Retry-After that names a date
  /// False: cancelled, at once or meanwhile.
  virtual bool wait(double seconds) = 0;
};

/// `cancelled` is asked ten times a second while waiting.
std::unique_ptr<RetryClock> make_system_clock(std::function<bool()> cancelled);

/// 408, 409, 429 and 5xx but 501 and 505: the same request may be answered later.
bool is_worth_retrying(int status);
/// No connection, one that broke off, no answer in time.
bool is_worth_retrying(HttpFailure failure);

/// Seconds from now: of `120`, `1.5` and `Wed, 21 Oct 2026 07:28:00 GMT`; nothing for other texts.
std::optional<double> parse_retry_after(const std::string& text, double unix_seconds);

/// Seconds before retry number `retry` (from 0): half of `first_wait` x 2^retry, or of
/// `longest_wait` where that is less, and a random share of the other half, so that many clients
/// do not come back together.
double back_off(const RetryOptions& options, std::int64_t retry, core::RandomState& random);

/// Sends again what may succeed later. One thread at a time.
class Retrier {
 public:
  /// `counter` counts the retries of all that share it. All must outlive it.
  Retrier(const RetryOptions& options, RetryClock& clock, core::RandomState random,
          core::Logger& log, std::atomic<std::int64_t>& counter)
      : options_(options), clock_(clock), random_(random), log_(log), counter_(counter) {}

  /// The first answer that is not worth a retry, or the last one. Throws the HttpError that is
  /// not, or the last one with how often and how long it was tried; each retry is a warning that
  /// begins with `name`.
  HttpResponse send(const std::string& name, const std::function<HttpResponse()>& try_once);

 private:
  std::optional<double> wait_before(std::int64_t retry, double begin,
                                    const std::string& retry_after);

  RetryOptions options_;
  RetryClock& clock_;
  core::RandomState random_;
  core::Logger& log_;
  std::atomic<std::int64_t>& counter_;
};

}  // namespace distill::io
