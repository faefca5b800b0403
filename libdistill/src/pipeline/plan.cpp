#include <distill/pipeline/plan.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <optional>

#include <distill/core/checked.h>

namespace distill::pipeline {

namespace {

/// Bytes of scratch that a fused loss may use (ops::LinearDivergenceInput::workspace_bytes).
constexpr std::uint64_t kLossWorkspace = std::uint64_t{256} << 20;
/// LibTorch's code and thread stacks, measured with an empty program.
constexpr std::uint64_t kLibrary = std::uint64_t{300} << 20;

/// A double that an int64 can hold.
constexpr double kMostTokens = 9e18;

std::uint64_t width_of(const recipe::Recipe& recipe) {
  return c10::elementSize(recipe::dtype_of(recipe.precision));
}

/// What the backward pass keeps of one token in one block: inputs of two norms, q, k, v and the
/// attention's output, and gate, up and their product.
std::uint64_t activation_values(const recipe::ModelFacts& model) {
  return static_cast<std::uint64_t>(7 * model.hidden_size + 4 * model.intermediate_size);
}

std::uint64_t saturated_product(std::initializer_list<std::uint64_t> factors) {
  std::optional<std::uint64_t> product = 1;
  for (const std::uint64_t factor : factors) {
    if (product) product = core::checked_mul(*product, factor);
  }
  // Leaves room for the sum of all purposes.
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max() / 8;
  return std::min(product.value_or(kMost), kMost);
}

MemoryEstimate estimate(const recipe::Recipe& recipe, const Plan& plan) {
  const std::uint64_t width = width_of(recipe);
  const auto& student = plan.models.student;
  const auto trainable = static_cast<std::uint64_t>(plan.trainable_parameters);
  const auto tokens =
      static_cast<std::uint64_t>(recipe.train.micro_batch_size * recipe.data.sequence_length);
  MemoryEstimate memory;
  if (plan.models.teacher) {
    memory.teacher = static_cast<std::uint64_t>(plan.models.teacher->num_parameters) * width;
  }
  memory.student = static_cast<std::uint64_t>(student.num_parameters) * width;
  memory.gradients =
      trainable * (recipe.train.batch_size > recipe.train.micro_batch_size ? 4 + width : width);
  // Two fp32 moments; a bf16 parameter has an fp32 master copy beside it.
  memory.optimizer = trainable * (width == 4 ? 8 : 12);
  // With checkpointing each layer keeps the two streams that enter it, and one keeps all.
  const auto inputs = static_cast<std::uint64_t>(2 * student.hidden_size);
  const std::uint64_t kept = recipe.train.activation_checkpointing
                                 ? student.layers.size() * inputs + activation_values(student)
                                 : student.layers.size() * activation_values(student);
  memory.activations = saturated_product({tokens, kept, width});
  memory.loss = kLossWorkspace;
  memory.library =
      kLibrary + plan.train_data.memory_bytes + (plan.eval_data ? plan.eval_data->memory_bytes : 0);
  return memory;
}

std::int64_t count_trainable(const recipe::Recipe& recipe, const recipe::ModelFacts& student) {
  std::vector<std::string> names;
  for (const auto& parameter : student.parameters) names.push_back(parameter.name);
  const auto frozen = recipe::match_frozen(names, recipe.student.freeze);
  std::int64_t trainable = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!frozen[i]) trainable += student.parameters[i].numel;
  }
  return trainable;
}

}  // namespace

Plan make_plan(const recipe::Recipe& recipe, core::Logger& log, const recipe::DataHooks& hooks) {
  Plan plan;
  plan.models = recipe::plan_models(recipe);
  plan.trainable_parameters = count_trainable(recipe, plan.models.student);
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
  plan.steps = recipe::total_steps(recipe, plan.train_rows);
  const double run_tokens =
      static_cast<double>(plan.steps) * static_cast<double>(recipe.train.batch_size) *
      (static_cast<double>(plan.train_tokens) / static_cast<double>(plan.train_rows));
  plan.run_tokens = static_cast<std::int64_t>(std::min(run_tokens, kMostTokens));
  plan.memory = estimate(recipe, plan);
  return plan;
}

}  // namespace distill::pipeline
