#pragma once

#include <atomic>
#include <string>

#include <distill/teachers/openai_client.h>

namespace distill::teachers::detail {

/// How far two answers about the same prompt are apart: the mean over its positions of the total
/// variation, where all ids that are not in both lists count as one. 0: the same; 1: nothing in
/// common.
double distance(const PromptScores& a, const PromptScores& b);

struct WatchOptions {
  std::string who;          ///< for messages
  double interval = 60;     ///< seconds between looks
  double max_drift = 0.05;  ///< largest distance that rounding explains
};

/// Notices that a server answers with another model than at the start: it calls itself something
/// else, or a probe, a prompt that is asked again and again, gets another answer. Any thread may
/// use it.
class ModelWatch {
 public:
  /// `first`: the answer to the probe.
  ModelWatch(WatchOptions options, PromptScores first);

  /// True for one caller each time the interval is over: the probe should be asked.
  bool is_due();
  /// Of any answer. Throws TeacherError when the server has another name for itself now.
  void check_name(const PromptScores& answer) const;
  /// Of an answer to the probe. Throws TeacherError when it is not the first one but for rounding.
  void check_probe(const PromptScores& answer) const;

 private:
  WatchOptions options_;
  PromptScores first_;
  std::atomic<double> next_look_;
};

}  // namespace distill::teachers::detail
