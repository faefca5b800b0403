#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <distill/eval/evaluate.h>
#include <distill/eval/set_result.h>
#include <distill/metrics/sink.h>
#include <distill/teachers/teacher.h>

namespace distill::pipeline {

/// What metrics.jsonl holds of an evaluation.
metrics::Values to_values(const eval::Evaluation& evaluation, std::int64_t step);

/// What it holds of a teacher that is asked, of this part of the run.
metrics::Values to_values(const teachers::TeacherCounts& counts, std::int64_t step);

/// Gates (`require`) that are in it.
std::set<std::string> judged_gates(const std::filesystem::path& metrics);

/// What it holds of a model on a set; the event names the model.
metrics::Values to_values(const std::string& set, const std::vector<eval::Estimate>& figures,
                          std::int64_t step);

/// Events of the student and of its teacher on a set. Part of the run folder's format.
constexpr const char* kStudentSet = "evaluation_set";
constexpr const char* kTeacherSet = "teacher_set";

/// What of evaluations is in metrics.jsonl.
struct LoggedEvaluations {
  std::set<std::int64_t> texts;  ///< steps whose evaluation is there
  std::set<std::tuple<std::int64_t, std::string, std::string>> sets;  ///< step, set, event
};
/// Nothing where there is no such file.
LoggedEvaluations logged_evaluations(const std::filesystem::path& metrics);

/// What of the monitor is in metrics.jsonl.
struct LoggedForgetting {
  std::set<std::int64_t> looks;      ///< steps
  std::set<std::int64_t> reactions;  ///< numbers, from 1
};
LoggedForgetting logged_forgetting(const std::filesystem::path& metrics);

}  // namespace distill::pipeline
