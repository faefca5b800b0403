#include <algorithm>
#include <optional>

#include <distill/core/json_writer.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/pipeline/run_pipeline.h>

#include "pipeline/report_sets.h"

namespace distill::pipeline {

namespace {

constexpr std::int64_t kFormatVersion = 1;

struct Totals {
  RunCosts costs{.energy_joules = 0.0};
  std::uint64_t peak_memory = 0;
};

/// Nobody measures the energy of a stage that asks a teacher, nor of one that failed.
bool is_measured(const PipelineResult& result, const StageOutcome& stage) {
  const bool failed = !result.stopped.empty() && &stage == &result.stages.back();
  return stage.kind == recipe::StageKind::kMerge && !failed;  // takes next to none
}

/// Of all stages, with what their gates had repeated.
Totals totals_of(const PipelineResult& result) {
  Totals totals;
  for (const StageOutcome& stage : result.stages) {
    if (!stage.report) {
      totals.costs.seconds += stage.seconds;
      if (stage.earlier_attempts) totals.costs += *stage.earlier_attempts;
      if (!is_measured(result, stage)) totals.costs.energy_joules.reset();
      continue;
    }
    const Report& report = *stage.report;
    totals.costs += {report.tokens, stage.seconds, report.energy_joules};
    if (report.earlier_attempts) totals.costs += *report.earlier_attempts;
    totals.peak_memory = std::max(totals.peak_memory, report.peak_memory_bytes);
  }
  return totals;
}

void write(core::JsonWriter& json, const StageOutcome& stage) {
  json.begin_object()
      .member("name", stage.name)
      .member("kind", recipe::name_of(stage.kind))
      .member("seconds", stage.seconds);
  if (stage.report) json.key("report").raw(to_json(*stage.report));
  json.end_object();
}

/// The last stage that trained.
const StageOutcome* last_trained(const PipelineResult& result) {
  for (auto stage = result.stages.rbegin(); stage != result.stages.rend(); ++stage) {
    if (stage->kind == recipe::StageKind::kTrain && stage->report) return &*stage;
  }
  return nullptr;
}

std::string shown(const std::optional<double>& value, int digits) {
  return value ? core::fixed(*value, digits) : "";
}

}  // namespace

std::string to_json(const PipelineResult& result) {
  const Totals totals = totals_of(result);
  core::JsonWriter json(2);
  json.begin_object().member("format_version", kFormatVersion).member("name", result.name);
  if (!result.stopped.empty()) json.member("stopped", result.stopped);
  if (const StageOutcome* stage = last_trained(result)) {
    const Report* report = &*stage->report;
    json.member("measured_stage", stage->name);
    write_side(json, "before", report->before, report->sets, &SetReport::before);
    write_side(json, "after", report->after, report->sets, &SetReport::after);
    write_differences(json, report->sets);
  }
  const RunCosts& costs = totals.costs;
  json.member("tokens", costs.tokens)
      .member("seconds", costs.seconds)
      .member("tokens_per_second",
              costs.seconds > 0 ? static_cast<double>(costs.tokens) / costs.seconds : 0.0)
      .member("peak_memory_bytes", totals.peak_memory);
  if (costs.energy_joules && *costs.energy_joules > 0) {
    json.member("energy_joules", *costs.energy_joules);
  }
  if (!result.final_stage.empty()) {
    json.key("final")
        .begin_object()
        .member("stage", result.final_stage)
        .member("path", result.model.string())
        .end_object();
  }
  json.key("stages").begin_array();
  for (const StageOutcome& stage : result.stages) write(json, stage);
  json.end_array().end_object();
  return json.text() + "\n";
}

std::string stage_table(const PipelineResult& result) {
  core::Table table;
  table.add({"stage", "kind", "perplexity", "KL to teacher", "top-1", "parameters", "time", ""});
  for (const StageOutcome& stage : result.stages) {
    std::vector<std::string> row = {stage.name, std::string(recipe::name_of(stage.kind))};
    const auto after = stage.report ? stage.report->after : std::nullopt;
    row.push_back(after ? core::fixed(after->perplexity, 2) : "");
    row.push_back(after ? shown(after->kl_to_teacher, 4) : "");
    row.push_back(after ? shown(after->top1_agreement, 4) : "");
    row.push_back(stage.report ? core::with_thousands(stage.report->student.parameters) : "");
    row.push_back(core::human_seconds(stage.seconds));
    row.push_back(stage.was_done ? "done before" : "");
    table.add(std::move(row));
  }
  return table.text();
}

}  // namespace distill::pipeline
