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

std::set<std::string> judged_gates(const std::filesystem::path& metrics) {
  std::set<std::string> gates;
  if (!core::path_exists(metrics)) return gates;
  io::JsonlReader lines(metrics);
  while (const auto row = lines.next()) {
    const io::JsonCursor event(row->value, row->source);
    if (event.string_or("event", "") == "gate") gates.insert(event.at("require").as_string());
  }
  return gates;
}

std::set<std::int64_t> evaluated_steps(const std::filesystem::path& metrics) {
  std::set<std::int64_t> steps;
  if (!core::path_exists(metrics)) return steps;
  io::JsonlReader lines(metrics);
  while (const auto row = lines.next()) {
    const io::JsonCursor event(row->value, row->source);
    if (event.string_or("event", "") == "evaluation") steps.insert(event.at("step").as_int());
  }
  return steps;
}

}  // namespace distill::pipeline
