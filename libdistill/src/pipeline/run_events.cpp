#include "pipeline/run_events.h"

#include <distill/core/paths.h>
#include <distill/io/jsonl.h>

namespace distill::pipeline {

metrics::Values to_values(const eval::Evaluation& e, std::int64_t step) {
  metrics::Values values = {{"step", step}, {"perplexity", e.perplexity}};
  if (e.kl_to_teacher) values.emplace_back("kl_to_teacher", *e.kl_to_teacher);
  if (e.top_k_kl_to_teacher) values.emplace_back("top_k_kl_to_teacher", *e.top_k_kl_to_teacher);
  if (e.top1_agreement) values.emplace_back("top1_agreement", *e.top1_agreement);
  if (e.teacher_perplexity) values.emplace_back("teacher_perplexity", *e.teacher_perplexity);
  return values;
}

metrics::Values to_values(const teachers::TeacherCounts& counts, std::int64_t step) {
  metrics::Values values = {{"step", step},
                            {"requests", counts.requests},
                            {"retries", counts.retries},
                            {"bad_answers", counts.bad_answers},
                            {"seconds_waited", counts.seconds_waited}};
  if (counts.bytes > 0) {
    values.emplace_back("bytes", static_cast<std::int64_t>(counts.bytes));
    values.emplace_back("logit_bytes", static_cast<std::int64_t>(counts.logit_bytes));
  }
  return values;
}

metrics::Values to_values(const std::string& set, const std::vector<eval::Estimate>& figures,
                          std::int64_t step) {
  metrics::Values values = {{"step", step}, {"set", set}};
  for (const auto& figure : figures) values.emplace_back(figure.name, figure.value);
  return values;
}

namespace {

/// Calls take(name, event) for each event of the file; not at all where there is none.
void for_each_event(const std::filesystem::path& metrics, const auto& take) {
  if (!core::path_exists(metrics)) return;
  io::JsonlReader lines(metrics);
  while (const auto row = lines.next()) {
    const io::JsonCursor event(row->value, row->source);
    if (event.has("event")) take(event.at("event").as_string(), event);
  }
}

}  // namespace

std::set<std::string> judged_gates(const std::filesystem::path& metrics) {
  std::set<std::string> gates;
  for_each_event(metrics, [&](const std::string& name, const io::JsonCursor& event) {
    if (name == "gate") gates.insert(event.at("require").as_string());
  });
  return gates;
}

LoggedEvaluations logged_evaluations(const std::filesystem::path& metrics) {
  LoggedEvaluations logged;
  for_each_event(metrics, [&](const std::string& name, const io::JsonCursor& event) {
    if (name == "evaluation") logged.texts.insert(event.at("step").as_int());
    if (name != kStudentSet && name != kTeacherSet) return;
    logged.sets.insert({event.at("step").as_int(), event.at("set").as_string(), name});
  });
  return logged;
}

LoggedForgetting logged_forgetting(const std::filesystem::path& metrics) {
  LoggedForgetting logged;
  for_each_event(metrics, [&](const std::string& name, const io::JsonCursor& event) {
    if (name == "forgetting") logged.looks.insert(event.at("step").as_int());
    if (name == "reaction") logged.reactions.insert(event.at("number").as_int());
  });
  return logged;
}

}  // namespace distill::pipeline
