#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/dist/communicator.h>
#include <distill/metrics/sink.h>
#include <distill/pipeline/report.h>
#include <distill/pipeline/run_folder.h>
#include <distill/recipe/wiring.h>

#include "pipeline/run_events.h"
#include "pipeline/set_files.h"

namespace distill::pipeline {

/// What a run measures, and when: the held-out text and the sets before, in between and after
/// training. What was measured lies in the run folder and is not measured again. Each throws
/// eval::Stopped when the run is to stop.
class RunEvaluations {
 public:
  /// All outlive it.
  struct Parts {
    const recipe::Recipe& recipe;
    const core::StopFlag* stop;
    core::Logger& log;
    const RunFolder& folder;
    dist::Communicator& ranks;
    const recipe::DataParts& data;
    const recipe::ModelParts& models;
    const std::vector<std::unique_ptr<metrics::Sink>>& sinks;
    Report& report;
  };
  /// Called when metrics.jsonl holds what is kept of it: events that are in it are not repeated.
  explicit RunEvaluations(const Parts& parts);

  /// A run that goes on from step `restored` above 0 cannot be measured as it was before.
  void before(std::int64_t restored);
  /// After step `step` of `steps`: the held-out text, where the recipe asks for it.
  void in_between(std::int64_t step, std::int64_t steps);
  void after(std::int64_t steps);

  /// The student as it is after `step` on some sets, with its events; names none: on all. What was
  /// measured of it before is not measured again.
  SetResults measure_student(const std::vector<std::string>& names, std::int64_t step);
  /// The student on the sets before training; null: it was not measured.
  const SetResults* sets_before() const { return before_ ? &*before_ : nullptr; }

 private:
  eval::Evaluation evaluate_text(bool progress);
  void text_before(std::int64_t restored);
  void text_after(std::int64_t steps);
  /// From the file, or measured now by `measure_now` and written to it.
  SetResults kept_or_measured(const std::filesystem::path& file, const std::string& what,
                              const std::function<SetResults()>& measure_now);
  eval::SetResult measure(const eval::EvaluationSet& set, models::CausalLm& model);
  void measure_teacher();
  void report_sets();
  void log_text(const eval::Evaluation& evaluation, std::int64_t step);
  void log_sets(const SetResults& results, const std::string& event, std::int64_t step);
  std::function<void(std::int64_t, std::int64_t)> progress_of_rows() const;

  Parts parts_;
  LoggedEvaluations logged_;
  bool told_of_samples_ = false;
  std::optional<SetResults> before_, after_, teacher_;
  SetResults recent_;  ///< of the student after recent_step_
  std::int64_t recent_step_ = 0;
};

}  // namespace distill::pipeline
