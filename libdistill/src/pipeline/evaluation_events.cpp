#include "pipeline/evaluation_events.h"

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
