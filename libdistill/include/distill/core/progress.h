#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace distill::core {

struct ProgressOptions {
  std::string label;                  ///< `tokenizing`
  bool terminal = false;              ///< a bar redrawn in place; otherwise a line now and then
  std::int64_t width = 80;            ///< columns of the terminal
  double seconds_between_lines = 10;  ///< without a terminal
  /// Receives the text: of a terminal with its control codes, else whole lines with their ends.
  std::function<void(std::string_view)> output = {};
  /// Of work that is a part of something longer: seconds until that is done, from those that are
  /// left here and those that the whole of this takes. Empty: it stands alone.
  std::function<std::optional<double>(double eta_seconds, double seconds_in_all)> whole_eta = {};
};

/// Shows how far long work has come. Work that is done in less than half a second shows nothing.
class ProgressBar {
 public:
  explicit ProgressBar(ProgressOptions options);
  /// Takes the bar away.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// So much was done by an earlier process: what is left is not timed by it. The clock begins
  /// here.
  void go_on_from(double done, double total);
  /// `done` of `total` in any unit; `details` stand behind the bar. Cheap to call often.
  void update(double done, double total, const std::string& details);
  /// Takes the bar away; the next update begins anew.
  void clear();

 private:
  ProgressOptions options_;
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::time_point last_;
  double share_before_ = 0;
  bool drawn_ = false;
};

/// `tokenizing  42 % [####......]  1,234 documents  ETA 20 s` in at most `width` columns.
/// `seconds` were needed from `share_before` to `share`.
std::string progress_line(const ProgressOptions& options, double share, double seconds,
                          const std::string& details, double share_before = 0);

}  // namespace distill::core
