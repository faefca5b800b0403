#include "metrics/console_format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include <distill/core/strings.h>

namespace distill::metrics::detail {

namespace {

std::string formatted(const char* format, double value) {
  if (std::isnan(value)) value = std::fabs(value);  // some processors give NaN a sign
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string rate(double tokens_per_second) {
  if (!std::isfinite(tokens_per_second)) return "? tok/s";
  if (tokens_per_second < 10) return formatted("%.1f tok/s", tokens_per_second);
  const double bounded = std::min(tokens_per_second, 1e15);
  return core::with_thousands(std::llround(bounded)) + " tok/s";
}

std::string step_text(const ConsoleStep& step) {
  std::string text = core::concat("step ", step.step);
  if (step.total_steps > 0) text += core::concat('/', step.total_steps);
  return text;
}

std::string eta_text(const ConsoleStep& step, bool whole = true) {
  const std::string own = "ETA " + core::human_seconds(*step.eta_seconds);
  if (!step.whole_eta_seconds || !whole) return own;
  return core::concat(own, " (all: ", core::human_seconds(*step.whole_eta_seconds), ')');
}

/// Two blanks before every field.
std::string joined(const std::vector<std::string>& fields) {
  std::string text;
  for (const auto& field : fields) text += (text.empty() ? "" : "  ") + field;
  return text;
}

std::string bar(double done, std::int64_t cells) {
  const auto filled = static_cast<std::int64_t>(std::floor(done * static_cast<double>(cells)));
  return core::concat('[', std::string(static_cast<std::size_t>(filled), '#'),
                      std::string(static_cast<std::size_t>(cells - filled), '.'), ']');
}

constexpr std::int64_t kWidestBar = 24;
constexpr std::int64_t kNarrowestBar = 4;

/// What a line that is too long goes without, each with all before it: first the speed, which the
/// time that is left tells, then the step, which the percentage tells.
enum Without : int { kNothing, kSpeed, kStep, kWholeEta, kLoss, kEta };

/// What stands behind the bar.
std::string tail(const ConsoleStep& step, int without) {
  std::vector<std::string> fields;
  if (without < kStep || step.total_steps <= 0) fields.push_back(step_text(step));
  if (step.loss && without < kLoss) fields.push_back(formatted("loss %.3g", *step.loss));
  if (step.tokens_per_second && without < kSpeed) fields.push_back(rate(*step.tokens_per_second));
  if (step.eta_seconds && without < kEta) fields.push_back(eta_text(step, without < kWholeEta));
  return fields.empty() ? "" : "  " + joined(fields);
}

}  // namespace

std::string plain_line(const ConsoleStep& step) {
  std::vector<std::string> fields = {step_text(step)};
  if (step.loss) fields.push_back(formatted("loss %.4g", *step.loss));
  if (step.lr) fields.push_back(formatted("lr %.1e", *step.lr));
  if (step.grad_norm) fields.push_back(formatted("grad %.2g", *step.grad_norm));
  if (step.tokens_per_second) fields.push_back(rate(*step.tokens_per_second));
  if (step.eta_seconds) fields.push_back(eta_text(step));
  return joined(fields);
}

std::string progress_line(const ConsoleStep& step, std::int64_t width) {
  const double done =
      step.total_steps > 0
          ? std::clamp(static_cast<double>(step.step) / static_cast<double>(step.total_steps), 0.0,
                       1.0)
          : 0.0;
  const std::string head = step.label + formatted(" %3.0f %%", std::floor(done * 100));
  const auto room = static_cast<std::size_t>(std::max<std::int64_t>(width, 0));
  for (int without = kNothing; without <= kEta; ++without) {
    const std::string fields = tail(step, without);
    const auto used = static_cast<std::int64_t>(head.size() + fields.size()) + 3;  // " []"
    const std::int64_t cells = std::min(kWidestBar, width - used);
    if (cells >= kNarrowestBar) return head + " " + bar(done, cells) + fields;
    if (head.size() + fields.size() <= room) return head + fields;
  }
  return head.substr(0, room);
}

std::string event_line(const std::string& event, const Values& values) {
  struct Text {
    std::string operator()(std::int64_t value) const { return std::to_string(value); }
    std::string operator()(double value) const { return formatted("%.4g", value); }
    std::string operator()(const std::string& value) const { return core::printable(value, 200); }
  };
  const auto words = [](const std::string& name) {
    std::string text = core::printable(name);
    std::replace(text.begin(), text.end(), '_', ' ');
    return text;
  };
  std::vector<std::string> fields = {words(event)};
  for (const auto& [name, value] : values) {
    fields.push_back(words(name) + " " + std::visit(Text{}, value));
  }
  return joined(fields);
}

}  // namespace distill::metrics::detail
