#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/html/by_name.h"
#include "pipeline/html/curve.h"
#include "pipeline/html/samples.h"

namespace distill::pipeline::html {

/// An event as a row of text.
struct Event {
  std::string name;
  std::optional<std::int64_t> step;
  std::vector<std::pair<std::string, std::string>> values;
};

/// What a page shows of metrics.jsonl.
struct RunMetrics {
  static constexpr std::size_t kMostEvents = 30;  ///< of the first, and of the last

  ByName<Curve> steps;             ///< numbers of steps
  std::vector<std::string> terms;  ///< those of `steps` that are terms of the loss
  ByName<Samples> evaluations;     ///< numbers of `evaluation`
  /// Numbers of `evaluation_set`: a measure, and its values by set.
  std::vector<std::pair<std::string, ByName<Samples>>> sets;
  ByName<Samples> drops;  ///< of `forgetting`: how much worse each set is than before training
  std::optional<double> max_drop;
  Curve skipped;  ///< steps whose loss or gradient was not finite; values mean nothing
  Curve resumed;  ///< steps after which another process went on
  Curve decided;  ///< steps with an event `gate` or `reaction`
  /// All but those above, and of those above the ones with a number that is not finite: it cannot
  /// be drawn.
  std::vector<Event> first_events;
  std::deque<Event> last_events;
  std::int64_t other_events = 0;  ///< between the first and the last, left out
  std::int64_t lines = 0;
  std::int64_t bad_lines = 0;  ///< that are no JSON object, or too long
  std::int64_t first_bad_line = 0;
};

/// Reads the file once, in memory that does not grow with it. Lines that are no objects are counted
/// and passed over. Throws what opening and reading a file throws.
RunMetrics read_run_metrics(const std::filesystem::path& path);

}  // namespace distill::pipeline::html
