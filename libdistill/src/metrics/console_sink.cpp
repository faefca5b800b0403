#include <cstdio>

#include <distill/metrics/sink.h>

#include "metrics/console_format.h"

namespace distill::metrics {

namespace {

using detail::ConsoleStep;

std::optional<double> number(const Values& values, std::string_view name) {
  for (const auto& [key, value] : values) {
    if (key != name) continue;
    if (const auto* real = std::get_if<double>(&value)) return *real;
    if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  }
  return std::nullopt;
}

/// Rates over the last ten steps or so: tokens, seconds and steps are summed, and older ones fade.
class SmoothedRate {
 public:
  explicit SmoothedRate(bool from_the_start) {
    if (from_the_start) last_ = Point{};
  }

  void add(double step, double tokens, double seconds) {
    const Point now{step, tokens, seconds};
    if (last_) {
      sum_.step = kKeep * sum_.step + (now.step - last_->step);
      sum_.tokens = kKeep * sum_.tokens + (now.tokens - last_->tokens);
      sum_.seconds = kKeep * sum_.seconds + (now.seconds - last_->seconds);
    }
    last_ = now;
  }
  std::optional<double> tokens_per_second() const {
    if (!(sum_.seconds > 0)) return std::nullopt;
    return sum_.tokens / sum_.seconds;
  }
  std::optional<double> seconds_per_step() const {
    if (!(sum_.step > 0)) return std::nullopt;
    return sum_.seconds / sum_.step;
  }

 private:
  static constexpr double kKeep = 0.9;
  struct Point {
    double step = 0;
    double tokens = 0;
    double seconds = 0;
  };
  std::optional<Point> last_;  // nothing yet in a resumed run: its totals began elsewhere
  Point sum_;
};

/// Shared by both forms: turns a step's values into what is shown.
class ConsoleSink : public Sink {
 public:
  explicit ConsoleSink(const ConsoleOptions& options)
      : options_(options), rate_(options.first_step == 0) {
    if (!options_.output) {
      options_.output = [](std::string_view text) {
        std::fwrite(text.data(), 1, text.size(), stderr);
      };
    }
  }

 protected:
  ConsoleStep read(const Values& values) {
    ConsoleStep shown;
    shown.step = static_cast<std::int64_t>(number(values, "step").value_or(0));
    shown.label = options_.label;
    shown.total_steps = options_.total_steps;
    shown.loss = number(values, "loss");
    shown.lr = number(values, "lr");
    shown.grad_norm = number(values, "grad_norm");
    const auto tokens = number(values, "tokens");
    const auto seconds = number(values, "seconds");
    if (tokens && seconds) rate_.add(static_cast<double>(shown.step), *tokens, *seconds);
    shown.tokens_per_second = rate_.tokens_per_second();
    if (!shown.tokens_per_second) shown.tokens_per_second = number(values, "tokens_per_second");
    const auto pace = rate_.seconds_per_step();
    if (pace && !is_last(shown)) {
      shown.eta_seconds = *pace * static_cast<double>(options_.total_steps - shown.step);
      if (options_.whole_eta) {
        shown.whole_eta_seconds = options_.whole_eta(*shown.eta_seconds, *pace);
      }
    }
    return shown;
  }
  bool is_last(const ConsoleStep& shown) const { return shown.step >= options_.total_steps; }
  void write(std::string_view text) { options_.output(text); }
  const ConsoleOptions& options() const { return options_; }

 private:
  ConsoleOptions options_;
  SmoothedRate rate_;
};

class PlainSink final : public ConsoleSink {
 public:
  using ConsoleSink::ConsoleSink;

  void step(const Values& values) override {
    const ConsoleStep shown = read(values);
    const std::int64_t every = options().plain_every;
    if ((every > 0 && shown.step % every == 0) || is_last(shown)) {
      write(options().line_head + plain_line(shown) + "\n");
    }
  }
  void event(const std::string& event, const Values& values) override {
    write(detail::event_line(event, values) + "\n");
  }
};

class ProgressSink final : public ConsoleSink {
 public:
  using ConsoleSink::ConsoleSink;

  ~ProgressSink() override {
    try {
      end_line();
    } catch (...) {  // the output function's own trouble; nobody is left to hear of it
    }
  }
  void step(const Values& values) override {
    const ConsoleStep shown = read(values);
    // One column stays free: a full line makes some terminals wrap.
    bar_ = detail::progress_line(shown, options().width - 1);
    redraw();
    if (is_last(shown)) end_line();
  }
  void event(const std::string& event, const Values& values) override {
    write((bar_.empty() ? "" : kClear) + detail::event_line(event, values) + "\n");
    if (!bar_.empty()) redraw();
  }

 private:
  static inline const std::string kClear = "\r\x1b[K";

  void redraw() { write(kClear + bar_); }
  void end_line() {
    if (!bar_.empty()) write("\n");
    bar_.clear();
  }

  std::string bar_;  // what stands on the terminal's last line
};

}  // namespace

std::unique_ptr<Sink> make_console_sink(const ConsoleOptions& options) {
  if (options.terminal) return std::make_unique<ProgressSink>(options);
  return std::make_unique<PlainSink>(options);
}

}  // namespace distill::metrics
