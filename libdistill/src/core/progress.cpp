#include <distill/core/progress.h>

#include <algorithm>
#include <cmath>

#include <distill/core/strings.h>

namespace distill::core {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double as_share(double share) {
  return std::clamp(std::isfinite(share) ? share : 0.0, 0.0, 1.0);
}

constexpr double kQuiet = 0.5;          // seconds before anything is shown
constexpr double kBetweenFrames = 0.1;  // seconds

std::string eta_text(const ProgressOptions& options, double part, double new_part, double seconds) {
  if (!(new_part > 0.01 && part < 1)) return "";
  const double in_all = seconds / new_part;
  const double left = in_all * (1 - part);
  std::string text = "  ETA " + human_seconds(left);
  if (!options.whole_eta) return text;
  const auto whole = options.whole_eta(left, in_all);
  return whole ? concat(text, " (all: ", human_seconds(*whole), ')') : text;
}

}  // namespace

std::string progress_line(const ProgressOptions& options, double share, double seconds,
                          const std::string& details, double share_before) {
  const double part = as_share(share);
  const double new_part = part - as_share(share_before);
  const auto percent = static_cast<int>(std::floor(100 * part));
  std::string head = concat(options.label,
                            percent < 10    ? "   "
                            : percent < 100 ? "  "
                                            : " ",
                            percent, " %");
  const auto room = static_cast<std::size_t>(std::max<std::int64_t>(options.width - 1, 0));
  const std::string eta = eta_text(options, part, new_part, seconds);
  std::string tail = (details.empty() ? "" : "  " + details) + eta;
  // When it ends is worth more than what it has done.
  if (options.terminal && head.size() + tail.size() > room) tail = eta;
  if (options.terminal) {
    constexpr std::int64_t kWidest = 24;
    constexpr std::int64_t kNarrowest = 4;
    const std::int64_t free =
        static_cast<std::int64_t>(room) - static_cast<std::int64_t>(head.size() + tail.size()) - 3;
    if (const std::int64_t cells = std::min(kWidest, free); cells >= kNarrowest) {
      const auto filled = static_cast<std::size_t>(part * static_cast<double>(cells));
      head += " [" + std::string(filled, '#') +
              std::string(static_cast<std::size_t>(cells) - filled, '.') + "]";
    }
    return (head + tail).substr(0, room);
  }
  return head + tail;
}

ProgressBar::ProgressBar(ProgressOptions options)
    : options_(std::move(options)), begin_(Clock::now()), last_(begin_) {}

ProgressBar::~ProgressBar() {
  try {
    clear();
  } catch (...) {  // the output's own trouble; nobody is left to hear of it
  }
}

void ProgressBar::go_on_from(double done, double total) {
  share_before_ = total > 0 ? done / total : 0;
  begin_ = Clock::now();
}

void ProgressBar::update(double done, double total, const std::string& details) {
  if (!options_.output) return;
  const double wanted = drawn_
                            ? (options_.terminal ? kBetweenFrames : options_.seconds_between_lines)
                            : (options_.terminal ? kQuiet : options_.seconds_between_lines);
  if (seconds_since(last_) < wanted) return;
  last_ = Clock::now();
  const std::string line = progress_line(options_, total > 0 ? done / total : 0,
                                         seconds_since(begin_), details, share_before_);
  options_.output(options_.terminal ? "\r\x1b[K" + line : line + "\n");
  drawn_ = true;
}

void ProgressBar::clear() {
  if (drawn_ && options_.terminal) options_.output("\r\x1b[K");
  drawn_ = false;
}

}  // namespace distill::core
