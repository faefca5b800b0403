#include <distill/io/retry.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <thread>

#include <curl/curl.h>

#include <distill/core/strings.h>

namespace distill::io {

namespace {

class SystemClock final : public RetryClock {
 public:
  explicit SystemClock(std::function<bool()> cancelled) : cancelled_(std::move(cancelled)) {}

  double seconds() override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  double unix_seconds() override {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  bool wait(double seconds_to_wait) override {
    constexpr double kSlice = 0.1;
    const double end = seconds() + seconds_to_wait;
    while (true) {
      if (cancelled_ && cancelled_()) return false;
      const double left = end - seconds();
      if (left <= 0) return true;
      std::this_thread::sleep_for(std::chrono::duration<double>(std::min(left, kSlice)));
    }
  }

 private:
  std::function<bool()> cancelled_;
};

}  // namespace

std::unique_ptr<RetryClock> make_system_clock(std::function<bool()> cancelled) {
  return std::make_unique<SystemClock>(std::move(cancelled));
}

bool is_worth_retrying(int status) {
  return status == 408 || status == 409 || status == 429 ||
         (status >= 500 && status < 600 && status != 501 && status != 505);
}

bool is_worth_retrying(HttpFailure failure) {
  return failure == HttpFailure::kUnresolved || failure == HttpFailure::kRefused ||
         failure == HttpFailure::kTimeout || failure == HttpFailure::kBroken;
}

std::optional<double> parse_retry_after(const std::string& text, double unix_seconds) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, code] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (code == std::errc() && rest == end && std::isfinite(number)) {
    return number >= 0 ? std::optional(number) : std::nullopt;
  }
  if (text.find(' ') == std::string::npos) return std::nullopt;
  const auto date = curl_getdate(text.c_str(), nullptr);
  if (date < 0) return std::nullopt;
  return std::max(0.0, static_cast<double>(date) - unix_seconds);
}

double back_off(const RetryOptions& options, std::int64_t retry, core::RandomState& random) {
  const double doubled =
      options.first_wait * std::exp2(static_cast<double>(std::min<std::int64_t>(retry, 60)));
  return std::min(doubled, options.longest_wait) * (0.5 + 0.5 * random.uniform());
}

std::optional<double> Retrier::wait_before(std::int64_t retry, double begin,
                                           const std::string& retry_after) {
  if (retry >= options_.max_retries) return std::nullopt;
  double wait = back_off(options_, retry, random_);
  if (const auto asked = parse_retry_after(retry_after, clock_.unix_seconds())) {
    // Never sooner than asked, as far as that is believed; the random part stays on top.
    wait += std::min(*asked, options_.longest_asked_wait);
  }
  if (clock_.seconds() - begin + wait > options_.total_seconds) return std::nullopt;
  return wait;
}

HttpResponse Retrier::send(const std::string& name, const std::function<HttpResponse()>& try_once) {
  const double begin = clock_.seconds();
  for (std::int64_t retry = 0;; ++retry) {
    std::string seen;
    std::string retry_after;
    std::optional<double> wait;
    try {
      HttpResponse response = try_once();
      if (!is_worth_retrying(response.status)) return response;
      wait = wait_before(retry, begin, response.retry_after);
      if (!wait) return response;
      seen = core::concat(name, ": answered ", response.status);
    } catch (const HttpError& error) {
      if (!is_worth_retrying(error.failure())) throw;
      wait = wait_before(retry, begin, "");
      if (!wait) {
        throw HttpError(error.failure(),
                        core::concat(error.what(), "; tried ", retry + 1, " times in ",
                                     core::human_seconds(clock_.seconds() - begin)));
      }
      seen = error.what();
    }
    const std::int64_t so_far = ++counter_;
    log_.warning(seen, "; retry ", retry + 1, " of ", options_.max_retries, " in ",
                 core::human_seconds(*wait), " (", so_far, " so far)");
    if (!clock_.wait(*wait)) {
      throw HttpError(HttpFailure::kCancelled,
                      core::concat(name, ": stopped while waiting to try again"));
    }
  }
}

}  // namespace distill::io
