#include "pipeline/run_evaluations.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <distill/core/interrupted.h>
#include <distill/core/paths.h>

namespace distill::pipeline {

RunEvaluations::RunEvaluations(const Parts& parts)
    : parts_(parts), logged_(logged_evaluations(parts.folder.metrics())) {}

/// A line each ten seconds, and none at the end.
std::function<void(std::int64_t, std::int64_t)> RunEvaluations::progress_of_rows() const {
  return [&log = parts_.log, last = std::chrono::steady_clock::now()](std::int64_t done,
                                                                      std::int64_t total) mutable {
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::seconds(10) || done == total) return;
    last = now;
    log.info("  ", done, " of ", total, " rows");
  };
}

eval::Evaluation RunEvaluations::evaluate_text(bool progress) {
  eval::EvaluateOptions options;
  options.stop = parts_.stop;
  if (progress) options.on_progress = progress_of_rows();
  // Distributions over other ids cannot be compared.
  teachers::Teacher* teacher =
      parts_.data.across_tokenizers ? nullptr : parts_.models.teacher.get();
  eval::Evaluation result;
  try {
    result =
        eval::evaluate(*parts_.models.student, teacher, *parts_.data.eval, parts_.ranks, options);
  } catch (const Interrupted& stopped) {  // a teacher that was waited for
    throw eval::Stopped(stopped.what());
  }
  if (teacher != nullptr && !result.top1_agreement && !std::exchange(told_of_samples_, true)) {
    parts_.log.info(
        "the teacher gives samples of its distribution: it is not compared with, `distill "
        "eval --teacher` does that");
  }
  return result;
}

void RunEvaluations::before(std::int64_t restored) {
  if (!parts_.recipe.evaluate.at_start) return;
  text_before(restored);
  if (parts_.data.sets.empty()) return;
  const bool kept = core::path_exists(parts_.folder.sets_before());
  if (!kept && restored > 0) return;
  before_ = kept_or_measured(parts_.folder.sets_before(), "before training",
                             [this] { return measure_student({}, 0); });
  log_sets(*before_, kStudentSet, 0);
  measure_teacher();
  report_sets();
}

void RunEvaluations::text_before(std::int64_t restored) {
  const auto file = parts_.folder.evaluation_before();
  std::optional<eval::Evaluation>& before = parts_.report.before;
  if (!parts_.data.eval) return;
  if (core::path_exists(file)) {
    before = read_evaluation(file);
    if (restored == 0) log_text(*before, 0);
    return;
  }
  if (restored > 0) return;
  parts_.log.info("evaluating before training: ", parts_.data.eval->num_rows(), " rows");
  before = evaluate_text(true);
  write_evaluation(file, *before);
  log_text(*before, 0);
}

void RunEvaluations::in_between(std::int64_t step, std::int64_t steps) {
  const std::int64_t every = parts_.recipe.evaluate.every;
  if (!parts_.data.eval || every == 0 || step % every != 0 || step == steps) return;
  log_text(evaluate_text(false), step);
}

void RunEvaluations::after(std::int64_t steps) {
  if (!parts_.recipe.evaluate.at_end) return;
  text_after(steps);
  if (parts_.data.sets.empty()) return;
  after_ = kept_or_measured(parts_.folder.sets_after(), "after training",
                            [&] { return measure_student({}, steps); });
  log_sets(*after_, kStudentSet, steps);
  measure_teacher();
  report_sets();
}

void RunEvaluations::text_after(std::int64_t steps) {
  const auto file = parts_.folder.evaluation_after();
  std::optional<eval::Evaluation>& after = parts_.report.after;
  if (!parts_.data.eval) return;
  if (core::path_exists(file)) {
    after = read_evaluation(file);
  } else {
    parts_.log.info("evaluating after training: ", parts_.data.eval->num_rows(), " rows");
    after = evaluate_text(true);
    write_evaluation(file, *after);
  }
  log_text(*after, steps);
}

SetResults RunEvaluations::measure_student(const std::vector<std::string>& names,
                                           std::int64_t step) {
  if (step != std::exchange(recent_step_, step)) recent_.clear();
  SetResults results;
  for (const auto& set : parts_.data.sets) {
    const std::string& name = set.options.name;
    if (!names.empty() && std::ranges::find(names, name) == names.end()) continue;
    if (find_set(recent_, name) == nullptr) {
      recent_.emplace_back(name, measure(set.student, *parts_.models.student));
    }
    results.emplace_back(name, *find_set(recent_, name));
  }
  log_sets(results, kStudentSet, step);
  return results;
}

eval::SetResult RunEvaluations::measure(const eval::EvaluationSet& set, models::CausalLm& model) {
  eval::ScoreOptions options;
  options.stop = parts_.stop;
  options.on_progress = progress_of_rows();
  return set.measure(model, parts_.ranks, options);
}

SetResults RunEvaluations::kept_or_measured(const std::filesystem::path& file,
                                            const std::string& what,
                                            const std::function<SetResults()>& measure_now) {
  if (core::path_exists(file)) return read_set_results(file);
  parts_.log.info("measuring ", parts_.data.sets.size(),
                  parts_.data.sets.size() == 1 ? " set " : " sets ", what);
  SetResults results = measure_now();
  write_set_results(file, results);
  return results;
}

/// Once: training does not change it.
void RunEvaluations::measure_teacher() {
  if (teacher_ || !parts_.models.teacher_model) return;
  teacher_ = kept_or_measured(parts_.folder.sets_teacher(), "on the teacher", [this] {
    SetResults results;
    for (const auto& set : parts_.data.sets) {
      if (!set.teacher) continue;
      results.emplace_back(set.options.name, measure(*set.teacher, *parts_.models.teacher_model));
    }
    return results;
  });
  log_sets(*teacher_, kTeacherSet, 0);
}

/// What the report says of the sets so far.
void RunEvaluations::report_sets() {
  std::vector<SetReport>& reports = parts_.report.sets;
  reports.clear();
  for (const auto& set : parts_.data.sets) {
    SetReport report{.name = set.options.name};
    const auto find = [&](const std::optional<SetResults>& results) {
      return results ? find_set(*results, report.name) : nullptr;
    };
    const auto* before = find(before_);
    const auto* after = find(after_);
    const auto* teacher = find(teacher_);
    if (before != nullptr) report.before = eval::summarise(*before);
    if (after != nullptr) report.after = eval::summarise(*after);
    if (teacher != nullptr) report.teacher = eval::summarise(*teacher);
    if (before != nullptr && after != nullptr) report.change = eval::compare(*after, *before);
    if (after != nullptr && teacher != nullptr) report.gap = eval::compare(*after, *teacher);
    reports.push_back(std::move(report));
  }
}

/// Once for each step, however often the run was stopped after it.
void RunEvaluations::log_text(const eval::Evaluation& evaluation, std::int64_t step) {
  if (!logged_.texts.insert(step).second) return;
  for (const auto& sink : parts_.sinks) sink->event("evaluation", to_values(evaluation, step));
}

void RunEvaluations::log_sets(const SetResults& results, const std::string& event,
                              std::int64_t step) {
  for (const auto& [name, result] : results) {
    if (!logged_.sets.insert({step, name, event}).second) continue;
    const auto values = to_values(name, eval::estimates(result), step);
    for (const auto& sink : parts_.sinks) sink->event(event, values);
  }
}

}  // namespace distill::pipeline
