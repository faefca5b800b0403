#include <distill/pipeline/plan.h>

#include <algorithm>

#include "pipeline/memory.h"

namespace distill::pipeline {

namespace {

/// A double that an int64 can hold.
constexpr double kMostTokens = 9e18;

}  // namespace

Plan make_plan(const recipe::Recipe& recipe, core::Logger& log, const recipe::DataHooks& hooks) {
  Plan plan;
  plan.models = recipe::plan_models(recipe);
  plan.trainable_parameters = count_trainable(recipe, plan.models).parameters;
  const auto data = recipe::load_data(recipe, plan.models, log, hooks);
  plan.preflight = data.preflight;
  plan.train_data = data.train->report();
  plan.train_rows = data.train->num_rows();
  plan.train_tokens = data.train->num_tokens();
  plan.train_targets = data.train->num_targets();
  if (data.eval) {
    plan.eval_data = data.eval->report();
    plan.eval_rows = data.eval->num_rows();
    plan.eval_tokens = data.eval->num_tokens();
    plan.eval_targets = data.eval->num_targets();
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
  return plan;
}

}  // namespace distill::pipeline
