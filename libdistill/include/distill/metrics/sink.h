#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace distill::metrics {

using Value = std::variant<std::int64_t, double, std::string>;
using Values = std::vector<std::pair<std::string, Value>>;

/// Receives what a run measures. Called on the main rank only.
class Sink {
 public:
  virtual ~Sink() = default;
  /// One optimizer step: step, tokens, loss, every term by name, lr, grad_norm, tokens_per_second,
  /// seconds, data_seconds (what the step waited for its batches), teacher_seconds (what it was
  /// with its teacher).
  virtual void step(const Values& values) = 0;
  /// Anything else: an evaluation, a skipped step, a resume. `event` names it.
  virtual void event(const std::string& event, const Values& values) = 0;
};

/// metrics.jsonl: one object a line, events carry `event`. Appends; `truncate_after_step` drops
/// lines of later steps first (a resumed run repeats them), and a last line that was cut short.
std::unique_ptr<Sink> make_jsonl_sink(const std::filesystem::path& path,
                                      std::int64_t truncate_after_step);

struct ConsoleOptions {
  bool terminal = false;  ///< progress bar and colours; otherwise plain lines
  std::int64_t total_steps = 0;
  std::int64_t first_step = 0;                   ///< where a resumed run starts
  std::int64_t plain_every = 20;                 ///< steps between plain lines
  std::int64_t width = 80;                       ///< columns of the terminal
  std::function<void(std::string_view)> output;  ///< receives the text; empty: stderr
  std::string label = "distilling";              ///< what stands before the bar
  std::string line_head = {};                    ///< before each plain line
  /// Of a run that is one of several: seconds until all of them are done, given those that this one
  /// will still take and what a step takes. Empty, or nothing: not shown.
  std::function<std::optional<double>(double eta_seconds, double seconds_per_step)> whole_eta = {};
};
/// Progress for people: steps, loss, tokens/s and ETA (both smoothed over about ten steps, from the
/// running totals `tokens` and `seconds`). On a terminal one line redrawn in place, events above
/// it.
std::unique_ptr<Sink> make_console_sink(const ConsoleOptions& options);

}  // namespace distill::metrics
