#include <distill/pipeline/plan.h>

#include <algorithm>
#include <cmath>

#include <distill/core/memory.h>

#include "pipeline/disk.h"
#include "pipeline/memory.h"

namespace distill::pipeline {

namespace {

/// A double that an int64 can hold.
constexpr double kMostTokens = 9e18;

std::int64_t times(std::int64_t number, double factor) {
  return static_cast<std::int64_t>(
      std::llround(std::min(static_cast<double>(number) * factor, kMostTokens)));
}

/// A report as it will be when all rows are there.
data::DataReport enlarged(data::DataReport report, const RowFactor& factor) {
  const double all = row_factor(report, factor);
  if (all == 1) return report;
  for (data::FileReport& file : report.files) {
    const double own = factor(file.path);
    for (auto* number : {&file.documents, &file.tokens, &file.seen_documents, &file.seen_tokens}) {
      *number = times(*number, own);
    }
  }
  for (auto* number : {&report.documents, &report.tokens, &report.positions, &report.long_documents,
                       &report.tokens_cut_off, &report.tokens_unlearned, &report.cut_to_fill}) {
    *number = times(*number, all);
  }
  report.memory_bytes = static_cast<std::uint64_t>(static_cast<double>(report.memory_bytes) * all);
  return report;
}

}  // namespace

double row_factor(const data::DataReport& report, const RowFactor& factor) {
  if (!factor) return 1;
  double now = 0;
  double later = 0;
  for (const data::FileReport& file : report.files) {
    now += static_cast<double>(file.seen_tokens);
    later += static_cast<double>(file.seen_tokens) * factor(file.path);
  }
  return now > 0 ? later / now : 1;
}

Plan make_plan(const recipe::Recipe& recipe, core::Logger& log, const recipe::DataHooks& hooks,
               const RowFactor& factor) {
  Plan plan;
  plan.models = recipe::plan_models(recipe);
  plan.trainable_parameters = count_trainable(recipe, plan.models).parameters;
  const auto data = recipe::load_data(recipe, plan.models, log, hooks);
  plan.preflight = data.preflight;
  const double more = row_factor(data.train->report(), factor);
  plan.train_data = enlarged(data.train->report(), factor);
  plan.train_rows = times(data.train->num_rows(), more);
  plan.train_tokens = times(data.train->num_tokens(), more);
  plan.train_targets = times(data.train->num_targets(), more);
  if (data.eval) {
    const double more_eval = row_factor(data.eval->report(), factor);
    plan.eval_data = enlarged(data.eval->report(), factor);
    plan.eval_rows = times(data.eval->num_rows(), more_eval);
    plan.eval_tokens = times(data.eval->num_tokens(), more_eval);
    plan.eval_targets = times(data.eval->num_targets(), more_eval);
  }
  for (const auto& set : data.sets) {
    plan.sets.push_back({set.options.name, set.student.kind(), set.student.num_rows()});
  }
  plan.steps = recipe::total_steps(recipe, plan.train_rows);
  const double run_tokens =
      static_cast<double>(plan.steps) * static_cast<double>(recipe.train.batch_size) *
      (static_cast<double>(plan.train_tokens) / static_cast<double>(plan.train_rows));
  plan.run_tokens = static_cast<std::int64_t>(std::min(run_tokens, kMostTokens));
  plan.memory = estimate_memory(
      recipe, plan.models,
      plan.train_data.memory_bytes + (plan.eval_data ? plan.eval_data->memory_bytes : 0) +
          (data.with_replay ? data.with_replay->report().memory_bytes : 0),
      data.teacher_tokens_a_token);
  plan.disk = estimate_disk(recipe, plan);
  plan.free_space = core::free_space(recipe.output);
  return plan;
}

}  // namespace distill::pipeline
