#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

#include <distill/eval/evaluate.h>
#include <distill/metrics/sink.h>
#include <distill/teachers/teacher.h>

namespace distill::pipeline {

/// What metrics.jsonl holds of an evaluation.
metrics::Values to_values(const eval::Evaluation& evaluation, std::int64_t step);

/// What it holds of a teacher that is asked, of this part of the run.
metrics::Values to_values(const teachers::TeacherCounts& counts, std::int64_t step);

/// Gates (`require`) that are in it.
std::set<std::string> judged_gates(const std::filesystem::path& metrics);

/// Steps whose evaluation is in metrics.jsonl; none where there is no such file.
std::set<std::int64_t> evaluated_steps(const std::filesystem::path& metrics);

}  // namespace distill::pipeline
