#include "pipeline/memory.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/lora/choose.h>
#include <distill/models/check.h>
#include <distill/models/memory.h>
#include <distill/recipe/fit_student.h>

namespace distill::pipeline {

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
/// Bytes of scratch that a fused loss may use (ops::LinearDivergenceInput::workspace_bytes).
constexpr std::uint64_t kLossWorkspace = 256 * kMiB;
/// LibTorch's code as far as it is touched, thread stacks and a tokenizer: measured.
constexpr std::uint64_t kLibrary = 150 * kMiB;
/// Logits that an evaluation forms at a time (eval::evaluate), and how many tensors of that size it
/// holds at once.
constexpr std::uint64_t kEvaluatedLogits = 32 * kMiB;
constexpr std::uint64_t kTensorsOfComparison = 12;
constexpr std::uint64_t kTensorsOfPerplexity = 3;
/// Answers of a teacher in another process that are under way or in use.
constexpr std::uint64_t kAnswers = 4;

std::uint64_t saturated_product(std::initializer_list<std::uint64_t> factors) {
  std::optional<std::uint64_t> product = 1;
  for (const std::uint64_t factor : factors) {
    if (product) product = core::checked_mul(*product, factor);
  }
  // Leaves room for the sum of all purposes.
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max() / 16;
  return std::min(product.value_or(kMost), kMost);
}

/// `count` times `factor`, rounded up.
std::uint64_t scaled(std::uint64_t count, double factor) {
  constexpr double kMost = 1e18;
  return static_cast<std::uint64_t>(
      std::ceil(std::min(static_cast<double>(count) * std::max(factor, 0.0), kMost)));
}

struct Sizes {
  std::uint64_t width;           ///< bytes of a number in the run's precision
  std::uint64_t trained;         ///< the same of a parameter that is trained: adapters are fp32
  std::uint64_t tokens;          ///< of one micro-batch
  std::uint64_t teacher_tokens;  ///< the same in the teacher's
  std::uint64_t trainable;       ///< parameters
  std::uint64_t idle;            ///< of them, of experts that perhaps no token chooses
  std::uint64_t moments;         ///< numbers that the optimizer keeps beside them
  bool single_pass;              ///< one micro-batch a step
};

std::vector<recipe::ModelFacts> teachers_of(const recipe::PlannedModels& models) {
  std::vector<recipe::ModelFacts> all = models.several;
  if (models.teacher) all.push_back(*models.teacher);
  return all;
}

bool is_elsewhere(const recipe::Recipe& recipe) {
  return recipe.teacher.options<recipe::ProcessTeacherOptions>() != nullptr;
}

/// Whether logits of a teacher are formed here beside the student's.
bool forms_teacher_logits(const recipe::Recipe& recipe, const recipe::PlannedModels& models) {
  return !teachers_of(models).empty() || is_elsewhere(recipe);
}

void add_answers(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                 const Sizes& sizes, MemoryEstimate& memory) {
  if (!is_elsewhere(recipe)) return;
  const auto width = static_cast<std::uint64_t>(models.student.hidden_size);
  const auto vocabulary = static_cast<std::uint64_t>(models.student.vocab_size);
  memory.teacher_answers = saturated_product({vocabulary, width, sizes.width}) +
                           saturated_product({kAnswers, sizes.tokens, width, sizes.width});
}

void add_weights(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                 MemoryEstimate& memory) {
  for (const recipe::ModelFacts& teacher : teachers_of(models)) {
    const auto bytes =
        models::weight_bytes(teacher.folder, recipe::teacher_load_options(recipe, models));
    memory.teacher += bytes.allocated;
    memory.teacher_mapped += bytes.mapped;
  }
  const auto options = recipe::student_load_options(recipe, models);
  const auto bytes = models::weight_bytes(models.student.folder, options);
  memory.student = bytes.allocated;
  memory.student_mapped = bytes.mapped;
}

void add_optimizer(const Sizes& sizes, MemoryEstimate& memory) {
  const bool narrow = sizes.trained < 4;
  memory.master = narrow ? 4 * sizes.trainable : 0;
  memory.moments = 4 * sizes.moments;
  // Narrow gradients of several micro-batches are added up in fp32; those of one are beside them.
  const bool sums = narrow && !sizes.single_pass;
  const std::uint64_t bytes = sums ? 4 + sizes.trained : sizes.trained;
  memory.gradients = bytes * sizes.trainable;
  memory.idle_gradients = bytes * sizes.idle;
}

/// What backward needs of one micro-batch, and what one layer needs while it runs.
void add_activations(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                     const Sizes& sizes, MemoryEstimate& memory) {
  const recipe::ModelFacts& student = models.student;
  const auto layers = static_cast<std::uint64_t>(student.layers.size());
  // With checkpointing each layer keeps the two streams that enter it, and one keeps all.
  const std::uint64_t streams = 2 * layers * static_cast<std::uint64_t>(student.hidden_size);
  const std::uint64_t kept = recipe.train.activation_checkpointing
                                 ? streams + student.largest_layer_values
                                 : student.layer_values;
  memory.activations = saturated_product({sizes.tokens, kept, sizes.width});
  memory.one_layer = saturated_product({sizes.tokens, student.largest_layer_values, sizes.width});
  for (const auto& teacher : teachers_of(models)) {
    memory.one_layer = std::max(
        memory.one_layer,
        saturated_product({sizes.teacher_tokens, teacher.largest_layer_values, sizes.width}));
    memory.signal += saturated_product(
        {sizes.teacher_tokens, static_cast<std::uint64_t>(teacher.hidden_size), sizes.width});
  }
}

/// Bytes that one position of a teacher's answer takes as it waits.
std::uint64_t answer_bytes(const recipe::Recipe& recipe, const recipe::PlannedModels& models) {
  if (models.cache) {
    const auto size = static_cast<std::uint64_t>(models.cache->spec.size);
    switch (models.cache->spec.form) {
      case io::SignalForm::kTopK:
        return size * 16;  // an id and a number
      case io::SignalForm::kSampled:
        return (size + 2) * 24;  // and a weight; rows are as wide as the widest, this at most
      case io::SignalForm::kHidden:
        return size * 2;
    }
  }
  const auto* server = recipe.teacher.options<recipe::ServerTeacherOptions>();
  return server == nullptr ? 0 : 8 * static_cast<std::uint64_t>(server->top_k);
}

/// What a cache or a server has answered and nobody has taken yet, and a cache's index.
std::uint64_t read_ahead_bytes(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                               const Sizes& sizes) {
  constexpr std::uint64_t kIndexEntry = 48;
  const auto batches = static_cast<std::uint64_t>(recipe::batch_options(recipe, 0, 1).prefetch + 1);
  const std::uint64_t index =
      models.cache
          ? saturated_product({kIndexEntry, static_cast<std::uint64_t>(models.cache->segments)})
          : 0;
  return index + saturated_product({batches, sizes.tokens, answer_bytes(recipe, models)});
}

void add_logits(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                const Sizes& sizes, MemoryEstimate& memory) {
  const auto vocabulary = static_cast<std::uint64_t>(models.student.vocab_size);
  const bool compares = forms_teacher_logits(recipe, models);
  // Fewer tokens than fill the workspace need less of it.
  std::uint64_t of_teacher = 0;  // one at a time, each over ids of its own
  for (const auto& teacher : teachers_of(models)) {
    of_teacher = std::max(
        of_teacher, saturated_product(
                        {sizes.teacher_tokens, static_cast<std::uint64_t>(teacher.vocab_size), 4}));
  }
  // As the student's: over the same ids.
  if (is_elsewhere(recipe)) of_teacher = saturated_product({sizes.tokens, vocabulary, 4});
  memory.loss =
      std::min(kLossWorkspace, saturated_product({sizes.tokens, vocabulary, 4}) + of_teacher);
  const bool evaluates =
      recipe.evaluate.at_start || recipe.evaluate.at_end || recipe.evaluate.every > 0;
  const bool text = !recipe.data.eval.empty();
  if (!evaluates || (!text && recipe.evaluate.sets.empty())) return;
  const std::uint64_t tensors = text && compares ? kTensorsOfComparison : kTensorsOfPerplexity;
  memory.evaluation = tensors * std::max(kEvaluatedLogits, 4 * vocabulary);
}

}  // namespace

Trainable count_trainable(const recipe::Recipe& recipe, const recipe::PlannedModels& models) {
  const recipe::ModelFacts& student = models.student;
  const auto* muon = recipe.train.optimizer.options<train::MuonOptions>();
  if (!models.adapters.empty()) {
    const std::int64_t count = lora::count_parameters(models.adapters, student.adapter_sites);
    return {count, 0, count * (muon == nullptr ? 2 : 1)};
  }
  std::vector<std::string> names;
  for (const auto& parameter : student.parameters) names.push_back(parameter.name);
  const auto frozen = recipe::match_frozen(names, recipe.student.freeze);
  Trainable trainable;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (frozen[i]) continue;
    const auto& parameter = student.parameters[i];
    trainable.parameters += parameter.numel;
    if (parameter.idle) trainable.idle += parameter.numel;
    const bool one =
        muon != nullptr && train::orthogonalizes(*muon, parameter.name, parameter.dimensions);
    trainable.moments += parameter.numel * (one ? 1 : 2);
  }
  return trainable;
}

MemoryEstimate estimate_memory(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                               std::uint64_t data_bytes, double teacher_tokens_a_token) {
  Sizes sizes;
  sizes.width = c10::elementSize(recipe::dtype_of(recipe.precision));
  sizes.tokens = saturated_product({static_cast<std::uint64_t>(recipe.train.micro_batch_size),
                                    static_cast<std::uint64_t>(recipe.data.sequence_length)});
  sizes.teacher_tokens = scaled(sizes.tokens, teacher_tokens_a_token);
  sizes.trained = models.adapters.empty() ? sizes.width : 4;
  const Trainable trainable = count_trainable(recipe, models);
  sizes.trainable = static_cast<std::uint64_t>(trainable.parameters);
  sizes.idle = static_cast<std::uint64_t>(trainable.idle);
  sizes.moments = static_cast<std::uint64_t>(trainable.moments);
  sizes.single_pass = recipe.train.batch_size <= recipe.train.micro_batch_size;
  MemoryEstimate memory;
  add_weights(recipe, models, memory);
  add_answers(recipe, models, sizes, memory);
  add_optimizer(sizes, memory);
  add_activations(recipe, models, sizes, memory);
  add_logits(recipe, models, sizes, memory);
  const std::uint64_t of_training = memory.gradients + memory.activations + memory.one_layer +
                                    memory.signal + memory.loss + memory.evaluation;
  const std::uint64_t of_fit = recipe::fit_bytes(recipe, models);
  memory.fit = of_fit > of_training ? of_fit - of_training : 0;  // it is over by then
  memory.library = kLibrary + data_bytes + read_ahead_bytes(recipe, models, sizes);
  return memory;
}

MemoryTrouble memory_trouble(const MemoryEstimate& memory, at::Device device,
                             std::optional<std::uint64_t> available) {
  using core::concat;
  using core::human_bytes;
  if (!available) available = models::available_memory(device);
  if (!available) return {};
  const std::string on_gpu = device.is_cpu() ? "" : " on " + device.str();
  if (memory.certain() > *available) {
    return {concat("training needs at least ", human_bytes(memory.certain()), " of memory", on_gpu,
                   " (weights ", human_bytes(memory.teacher + memory.student), ", optimizer ",
                   human_bytes(memory.master + memory.moments), ", gradients ",
                   human_bytes(memory.gradients - memory.idle_gradients), "), ",
                   human_bytes(*available),
                   " are available; use a smaller student, train less of it "
                   "(`student.freeze`, `student.lora`)",
                   device.is_cpu() ? " or a machine" : ", `device: cpu` or a GPU",
                   " with more memory, or --ignore-memory to try all the same"),
            true};
  }
  const std::uint64_t elsewhere =
      device.is_cpu() ? memory.teacher_mapped + memory.student_mapped : memory.library;
  if (memory.total() - elsewhere <= *available) return {};
  return {concat("about ", human_bytes(memory.total() - elsewhere), " of memory will be needed",
                 on_gpu, ", ", human_bytes(*available),
                 " are available; with a smaller `train.micro_batch_size` or "
                 "`train.activation_checkpointing` it is less"),
          false};
}

void require_memory(const MemoryEstimate& memory, at::Device device,
                    std::optional<std::uint64_t> available, core::Logger& log) {
  const MemoryTrouble trouble = memory_trouble(memory, device, available);
  if (trouble.certain) throw InputError(trouble.text);
  if (!trouble.text.empty()) log.warning(trouble.text);
}

}  // namespace distill::pipeline
