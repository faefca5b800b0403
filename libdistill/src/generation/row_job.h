#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <distill/core/log.h>
#include <distill/core/progress.h>
#include <distill/core/stop_flag.h>
#include <distill/io/jsonl.h>
#include <distill/io/resumable_jsonl.h>

namespace distill::generation {

struct RowJobOptions {
  std::filesystem::path in;   ///< JSON Lines, plain or packed
  std::filesystem::path out;  ///< JSON Lines; must not exist
  io::WorkFacts facts;        ///< of all that decides the rows
  std::int64_t rows_at_once = 32;
  std::int64_t most_rows = 0;  ///< of the input; 0: all
  bool restart = false;
  const core::StopFlag* stop = nullptr;
  core::ProgressOptions progress = {};
  std::string label;  ///< of the progress bar
};

/// New rows that are made of old ones, part by part; goes on where an earlier call ended.
class RowJob {
 public:
  /// Rows of the input; they do not move, texts are found by where they stand.
  using Rows = std::deque<io::JsonlRow>;

  struct Steps {
    std::function<void(const Rows&)> make;                 ///< writes the new rows of a part
    std::function<std::string(std::int64_t rows)> counts;  ///< after so many rows, as a JSON object
    std::function<std::string()> shown;                    ///< behind the progress bar
  };

  /// Throws as io::ResumableJsonl does.
  explicit RowJob(RowJobOptions options);

  io::ResumableJsonl& file() { return file_; }
  /// Throws Interrupted where the work is to stop.
  void stop_if_asked() const;
  /// From row `done` to the end of `total` rows. What a step throws is thrown after saying what is
  /// kept; Interrupted when stopped.
  void run(std::int64_t done, std::int64_t total, const Steps& steps, core::Logger& log);

 private:
  bool is_enough(std::int64_t rows) const;
  void make_all(std::int64_t& done, std::int64_t total, const Steps& steps);

  RowJobOptions options_;
  io::ResumableJsonl file_;
  core::ProgressBar bar_;
};

/// The same for texts that differ only in the case of letters and in blanks.
std::string same_words(const std::vector<std::string>& texts);

}  // namespace distill::generation
