#pragma once

#include <atomic>
#include <string>

#include <distill/teachers/openai_client.h>

namespace distill::teachers::detail {

/// How far two answers about the same prompt are apart: the mean over its positions of the total
/// variation, as far as the lists show it: an id that one of them leaves out has at most the least
/// probability that it lists. 0: the same; near 1: nothing in common.
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

  const PromptScores& first() const { return first_; }
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
