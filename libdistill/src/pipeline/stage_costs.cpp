#include "pipeline/stage_costs.h"

#include <algorithm>
#include <cmath>

#include <distill/core/paths.h>
#include <distill/lora/export_model.h>
#include <distill/models/check.h>
#include <distill/recipe/cache.h>

#include "pipeline/cost_numbers.h"
#include "pipeline/memory.h"
#include "pipeline/run_stage.h"

namespace distill::pipeline {

namespace {

/// LibTorch and a tokenizer, as in an estimate of a run.
constexpr std::uint64_t kLibrary = std::uint64_t{150} << 20;

/// Operations for a token that a model reads.
double forward(const recipe::ModelFacts& model) {
  return 2 * count(model.num_active_parameters);
}

double teachers_forward(const recipe::Recipe& recipe, const recipe::PlannedModels& models) {
  double all = models.teacher ? forward(*models.teacher) : 0;
  for (const auto& teacher : models.several) all += forward(teacher);
  if (recipe.teacher.kind() == "base") all += forward(models.student);
  return all;
}

/// Of one position of a cache: the ids' gaps and a number each, or a hidden state.
double cached_bytes(const io::LogitCacheSpec& spec) {
  if (spec.form == io::SignalForm::kHidden) return 2 * count(spec.size);
  const double gap = std::log2(std::max(1.0, count(spec.vocabulary) / count(spec.size)));
  const double number = spec.form == io::SignalForm::kTopK ? 12 : 5;
  return (count(spec.size) * (gap + 2 + number) + 16) / 8;
}

}  // namespace

void add_run_costs(const recipe::Recipe& recipe, StagePlan& stage) {
  const Plan& plan = *stage.plan;
  const bool adapters = !plan.models.adapters.empty();
  const double teachers = teachers_forward(recipe, plan.models);
  const double student = forward(plan.models.student);
  double evaluations = (recipe.evaluate.at_start ? 1 : 0) + (recipe.evaluate.at_end ? 1 : 0);
  if (recipe.evaluate.every > 0) evaluations += count(plan.steps / recipe.evaluate.every);
  // A backward pass takes twice a forward pass; of frozen weights once.
  stage.work = count(plan.run_tokens) * ((adapters ? 2 : 3) * student + teachers) +
               evaluations * count(plan.eval_tokens) * (student + teachers);
  stage.tokens = plan.run_tokens;
  stage.steps = plan.steps;
  stage.memory = plan.memory;
  stage.device = plan.models.device;
  stage.disk = plan.disk;
}

void add_evaluation_costs(const recipe::Recipe& recipe, StagePlan& stage) {
  Plan& plan = *stage.plan;
  stage.work = count(plan.eval_tokens) *
               (forward(plan.models.student) + teachers_forward(recipe, plan.models));
  stage.tokens = plan.eval_tokens;
  stage.device = plan.models.device;
  stage.memory = plan.memory;
  stage.memory.master = stage.memory.moments = stage.memory.gradients = 0;
  stage.memory.idle_gradients = stage.memory.activations = stage.memory.loss = 0;
  // What is planned as a run of one step trains nothing.
  plan.memory = stage.memory;
  plan.disk = {};
  plan.trainable_parameters = plan.steps = plan.run_tokens = 0;
  plan.train_rows = plan.train_tokens = plan.train_targets = 0;
}

void add_capture_costs(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                       const recipe::DataParts& data, const RowFactor& factor, StagePlan& stage) {
  const recipe::ModelFacts& teacher = *models.teacher;
  double targets = 0;
  double tokens = 0;
  double held = 0;
  for (const auto& rows : {data.train, data.eval}) {
    if (!rows) continue;
    const double more = row_factor(rows->report(), factor);
    targets += more * count(rows->num_targets());
    tokens += more * count(rows->num_tokens());
    held += more * static_cast<double>(rows->report().memory_bytes);
  }
  stage.tokens = static_cast<std::int64_t>(std::min(tokens, 9e18));
  stage.work = count(stage.tokens) * forward(teacher);
  stage.device = models.device;
  const auto weights =
      models::weight_bytes(teacher.folder, recipe::teacher_load_options(recipe, models));
  stage.memory.teacher = weights.allocated;
  stage.memory.teacher_mapped = weights.mapped;
  const double at_once = std::max(2048.0, count(recipe.data.sequence_length));
  const double width = width_of(recipe.precision);
  stage.memory.one_layer =
      bytes(at_once * count(static_cast<std::int64_t>(teacher.largest_layer_values)) * width);
  stage.memory.signal = bytes(at_once * count(teacher.hidden_size) * width);
  stage.memory.loss = bytes(std::min(at_once * count(teacher.vocab_size) * 4, 256.0 * (1 << 20)));
  stage.memory.library = kLibrary + bytes(held);
  const io::LogitCacheSpec spec = recipe::cache_spec(recipe, models, data, "");
  stage.disk.cache = bytes(targets * cached_bytes(spec));
}

void add_generate_costs(const recipe::GenerateRecipe& recipe, std::int64_t prompts,
                        StagePlan& stage) {
  const recipe::AnswerOptions& asked = recipe.generate;
  const double answers = count(prompts) * count(asked.samples);
  const double tokens = answers * count(asked.max_new_tokens);
  stage.tokens = static_cast<std::int64_t>(std::min(tokens, 9e18));
  constexpr double kBytesAToken = 5;
  constexpr double kBytesBeside = 600;  // the prompt, and where the row is from
  stage.disk.rows = bytes(tokens * kBytesAToken + answers * kBytesBeside);
  stage.memory.library = kLibrary;
  const auto* local = recipe.teacher.options<recipe::LocalTeacherOptions>();
  if (local == nullptr) return;
  const recipe::ModelFacts model = recipe::read_model_facts(local->model, nullptr);
  models::check_causal_lm(model.folder, {});
  stage.work = tokens * forward(model);
  const auto dtype = recipe::dtype_of(recipe.precision);
  stage.device = recipe::choose_device(recipe.device);
  const auto weights = models::weight_bytes(model.folder, {.dtype = dtype, .device = stage.device});
  stage.memory.teacher = weights.allocated;
  stage.memory.teacher_mapped = weights.mapped;
  // Keys and values, at most: a model may share them between heads.
  const double kept = 2 * count(std::ssize(model.layers)) * count(model.hidden_size);
  stage.memory.activations = bytes(count(asked.batch_size) * count(asked.max_new_tokens) * kept *
                                   width_of(recipe.precision));
}

void add_merge_costs(const recipe::MergeRecipe& recipe, StagePlan& stage) {
  const recipe::ModelFacts model = recipe::read_model_facts(recipe.model, nullptr);
  models::check_causal_lm(model.folder, {});
  const auto [held, dtype] = lora::export_dtypes(merge_options(recipe));
  const auto weights = models::weight_bytes(model.folder, {.dtype = held, .writable = true});
  stage.memory.student = weights.allocated;
  stage.memory.library = kLibrary;
  stage.disk.model = bytes(count(model.num_parameters) *
                           count(static_cast<std::int64_t>(c10::elementSize(dtype))));
}

void for_each_memory(
    const PipelinePlan& plan,
    const std::function<void(const StagePlan&, const MemoryEstimate&, const std::string&)>& take) {
  for (const StagePlan& stage : plan.stages) {
    if (stage.is_done) continue;
    const std::string name = core::concat("stage `", stage.name, "`");
    take(stage, stage.memory, name);
    for (const PlannedTry& one : stage.tries) take(stage, one.memory, name + ", " + one.where);
  }
}

}  // namespace distill::pipeline
