#include <distill/recipe/wiring.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include <distill/core/error.h>
#include <distill/lora/choose.h>
#include <distill/lora/initialise.h>
#include <distill/losses/weighted_sum.h>
#include <distill/models/check.h>
#include <distill/models/load.h>
#include <distill/recipe/cache.h>
#include <distill/recipe/fit_student.h>
#include <distill/recipe/several_teachers.h>
#include <distill/teachers/local_teacher.h>

#include "recipe/across_tokenizers.h"

namespace distill::recipe {

namespace {

const LocalTeacherOptions* local_teacher(const Recipe& recipe) {
  return recipe.teacher.options<LocalTeacherOptions>();
}

/// Of a teacher that is a model, or was one when it was captured.
std::string teacher_folder(const Recipe& recipe) {
  if (const auto* teacher = local_teacher(recipe)) return teacher->model;
  const auto* cache = cache_teacher(recipe);
  if (cache != nullptr && cache->model) return *cache->model;
  fail<ConfigError>("student.init.from: `teacher` needs a local teacher, or `teacher.model`");
}

ModelFacts plan_student(const Recipe& recipe) {
  const auto& init = recipe.student.init;
  const KeepLayers* keep = init && init->keep_layers ? &*init->keep_layers : nullptr;
  if (init && init->from == InitFrom::kTeacher) {
    return read_model_facts(teacher_folder(recipe), keep);
  }
  if (!recipe.student.model) fail<ConfigError>("student: needs `model` or `init`");
  return read_model_facts(*recipe.student.model, keep);
}

void check_positions(const Recipe& recipe, const ModelFacts& model) {
  if (recipe.data.sequence_length <= model.max_positions) return;
  fail<ConfigError>("data.sequence_length: ", recipe.data.sequence_length, ", but ",
                    model.folder.string(), " has ", model.max_positions,
                    " positions (`max_position_embeddings`); use shorter rows");
}

types::LayerShape layer_shape(const ModelFacts& model) {
  return {std::ssize(model.layers), model.hidden_size};
}

losses::LossContext loss_context(const Recipe& recipe, const PlannedModels& models) {
  losses::LossContext context;
  context.student = layer_shape(models.student);
  context.student_name = core::concat("the student ", models.student.folder.string());
  if (models.teacher) {
    context.teacher = layer_shape(*models.teacher);
    context.teacher_name = core::concat("the teacher ", models.teacher->folder.string());
  } else if (!models.several.empty()) {
    context.teacher_name = "several teachers";
  }
  if (models.cache) {
    context.teacher_name = core::concat("the cache ", models.cache->folder.string());
  }
  context.device = models.device;
  context.seed = static_cast<std::uint64_t>(recipe.seed);
  return context;
}

using LossStep = std::function<void(losses::Loss&, const losses::LossContext&)>;

/// All terms after `step`, which is told apart by its place in the list.
std::vector<std::unique_ptr<losses::Loss>> build_losses(const Recipe& recipe,
                                                        losses::LossContext context,
                                                        const LossStep& step) {
  std::vector<std::unique_ptr<losses::Loss>> terms;
  for (const auto& item : recipe.loss.items()) {
    context.stream = terms.size();
    terms.push_back(item.build());
    try {
      step(*terms.back(), context);
    } catch (const ConfigError& error) {
      fail<ConfigError>("loss.", context.stream, ": ", error.what());
    }
  }
  return terms;
}

void check_losses(const Recipe& recipe, const losses::LossContext& context) {
  build_losses(recipe, context,
               [](losses::Loss& loss, const losses::LossContext& own) { loss.check(own); });
}

/// Ready for its first call.
std::unique_ptr<losses::Loss> prepare_loss(const Recipe& recipe,
                                           const losses::LossContext& context) {
  return losses::make_weighted_sum(
      build_losses(recipe, context,
                   [](losses::Loss& loss, const losses::LossContext& own) { loss.prepare(own); }));
}

/// Names that no model has.
std::vector<models::NamedParameter> loss_parameters(const losses::Loss& loss) {
  std::vector<models::NamedParameter> parameters;
  for (auto& parameter : loss.parameters()) {
    parameters.push_back({"loss." + parameter.name, parameter.tensor});
  }
  return parameters;
}

/// Those that are not frozen; sets for every parameter whether it wants a gradient.
std::vector<models::NamedParameter> choose_trainable(const models::CausalLm& student,
                                                     const std::vector<std::string>& freeze) {
  auto parameters = student.parameters();
  std::vector<std::string> names;
  for (const auto& parameter : parameters) names.push_back(parameter.name);
  const auto frozen = match_frozen(names, freeze);
  std::vector<models::NamedParameter> trainable;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].tensor.set_requires_grad(!frozen[i]);
    if (!frozen[i]) trainable.push_back(parameters[i]);
  }
  return trainable;
}

void check_freeze(const Recipe& recipe, const ModelFacts& student) {
  std::vector<std::string> names;
  for (const auto& parameter : student.parameters) names.push_back(parameter.name);
  const auto frozen = match_frozen(names, recipe.student.freeze);
  if (std::find(frozen.begin(), frozen.end(), false) != frozen.end()) return;
  fail<ConfigError>("student.freeze: every parameter is frozen, nothing is left to train");
}

/// A misspelt name would leave an embedding or a head to Muon without a word.
void check_adamw_for(const Recipe& recipe, const ModelFacts& student) {
  const auto* muon = recipe.train.optimizer.options<train::MuonOptions>();
  if (muon == nullptr) return;
  const auto usual = train::MuonOptions().adamw_for;  // a tied model has no head of its own
  std::vector<std::string> names;
  for (const auto& parameter : student.parameters) names.push_back(parameter.name);
  for (const auto& name : muon->adamw_for) {
    if (std::ranges::find(usual, name) != usual.end()) continue;
    if (std::ranges::find(names, name) != names.end()) continue;
    fail<ConfigError>("train.optimizer.adamw_for: `", core::printable(name),
                      "` is no parameter of the student", core::did_you_mean(name, names));
  }
}

models::AdapterChoice choose_adapters(const Recipe& recipe, const ModelFacts& student) {
  if (!recipe.student.lora) return {};
  try {
    return lora::choose(*recipe.student.lora, student.adapter_sites);
  } catch (const ConfigError& error) {
    fail<ConfigError>("student.lora.", error.what());
  }
}

/// PiSSA takes a part out of the weights; all else leaves them as they are in the file.
bool writes_to_weights(const Recipe& recipe) {
  return !recipe.student.lora || recipe.student.lora->init == lora::Init::kPissa;
}

std::vector<models::NamedParameter> begin_adapters(const Recipe& recipe,
                                                   models::CausalLm& student) {
  lora::initialise(student, recipe.student.lora->init, static_cast<std::uint64_t>(recipe.seed));
  return lora::parameters(student);
}

}  // namespace

PlannedModels plan_models(const Recipe& recipe) {
  PlannedModels models;
  models.device = choose_device(recipe.device);
  models.student = plan_student(recipe);
  models::check_causal_lm(models.student.folder, models.student.layers);
  check_positions(recipe, models.student);
  check_freeze(recipe, models.student);
  check_fit(recipe, models.student);
  check_adamw_for(recipe, models.student);
  models.adapters = choose_adapters(recipe, models.student);
  if (recipe.teacher.kind() == "base") {
    losses::LossContext context = loss_context(recipe, models);
    context.teacher = context.student;
    check_losses(recipe, context);
  }
  if (const auto* cache = cache_teacher(recipe)) {
    models.cache = io::read_logit_cache_info(cache->path);
    require_usable(recipe, *models.cache);
    check_losses(recipe, loss_context(recipe, models));
  }
  const auto plan_teacher = [&recipe](const std::string& folder) {
    ModelFacts teacher = read_model_facts(folder, nullptr);
    models::check_causal_lm(teacher.folder, {});
    // Of a teacher that reads in its own tokens, what lies behind its positions is left out.
    if (!crosses_tokenizers(recipe)) check_positions(recipe, teacher);
    return teacher;
  };
  if (const auto* teacher = local_teacher(recipe)) {
    models.teacher = plan_teacher(teacher->model);
    check_losses(recipe, loss_context(recipe, models));
  }
  if (const auto* several = recipe.teacher.options<SeveralTeachersOptions>()) {
    for (const auto& one : several->teachers) models.several.push_back(plan_teacher(one.model));
    check_losses(recipe, loss_context(recipe, models));
  }
  return models;
}

std::int64_t total_steps(const Recipe& recipe, std::int64_t train_rows) {
  if (recipe.train.steps) return *recipe.train.steps;
  const double rows = recipe.train.epochs.value_or(0) * static_cast<double>(train_rows);
  const double steps = std::ceil(rows / static_cast<double>(recipe.train.batch_size));
  if (!(steps < 1e15)) fail<ConfigError>("train.epochs: too many steps");
  const auto whole = std::max<std::int64_t>(1, static_cast<std::int64_t>(steps));
  if (recipe.train.schedule.warmup_steps >= whole) {
    fail<ConfigError>("train.schedule.warmup_steps: must be below the ", whole,
                      " steps of the run, it is ", recipe.train.schedule.warmup_steps);
  }
  return whole;
}

models::LoadOptions teacher_load_options(const Recipe& recipe, const PlannedModels& models) {
  models::LoadOptions load{.dtype = dtype_of(recipe.precision), .device = models.device};
  if (const auto* teacher = local_teacher(recipe)) load.quantize = teacher->quantize;
  if (const auto* cache = cache_teacher(recipe)) load.quantize = cache->quantize;
  return load;
}

models::LoadOptions student_load_options(const Recipe& recipe, const PlannedModels& models) {
  return {.dtype = dtype_of(recipe.precision),
          .device = models.device,
          .writable = writes_to_weights(recipe),
          .keep_layers = models.student.layers,
          .quantize = recipe.student.quantize,
          .adapters = models.adapters};
}

namespace {

std::unique_ptr<teachers::Teacher> build_teacher(const Recipe& recipe, const PlannedModels& models,
                                                 const std::shared_ptr<models::CausalLm>& own,
                                                 const std::shared_ptr<models::CausalLm>& student,
                                                 core::Logger& log,
                                                 const Surroundings& surroundings) {
  return recipe.teacher.build(TeacherContext{.precision = recipe.precision,
                                             .log = log,
                                             .loaded = own,
                                             .device = models.device,
                                             .student = student,
                                             .student_folder = models.student.folder,
                                             .sequence_length = recipe.data.sequence_length,
                                             .across_tokenizers = crosses_tokenizers(recipe),
                                             .surroundings = surroundings});
}

/// The local teacher, where there is one, and the student.
ModelParts read_models(const Recipe& recipe, const PlannedModels& models,
                       const models::LoadOptions& of_student, core::Logger& log,
                       std::optional<std::uint64_t> available_memory) {
  ModelParts parts;
  const auto load_model = [&](const ModelFacts& facts, models::LoadOptions load) {
    load.available_memory = available_memory;
    load.log = &log;
    return models::load_causal_lm(facts.folder, load);
  };
  if (models.teacher)
    parts.teacher_model = load_model(*models.teacher, teacher_load_options(recipe, models));
  parts.student = load_model(models.student, of_student);
  return parts;
}

}  // namespace

ModelParts load_to_measure(const Recipe& recipe, const PlannedModels& models, core::Logger& log,
                           std::optional<std::uint64_t> available_memory,
                           const Surroundings& surroundings) {
  if (recipe.student.init && recipe.student.init->fit) {
    fail<ConfigError>("student.init.fit: begins a training, here the student is only measured");
  }
  auto options = student_load_options(recipe, models);
  options.writable = false;
  ModelParts parts = read_models(recipe, models, options, log, available_memory);
  parts.teacher =
      build_teacher(recipe, models, parts.teacher_model, parts.student, log, surroundings);
  return parts;
}

ModelParts load_models(const Recipe& recipe, const PlannedModels& models, core::Logger& log,
                       std::optional<std::uint64_t> available_memory,
                       const Surroundings& surroundings) {
  ModelParts parts =
      read_models(recipe, models, student_load_options(recipe, models), log, available_memory);
  parts.student->set_activation_checkpointing(recipe.train.activation_checkpointing);
  parts.teacher =
      build_teacher(recipe, models, parts.teacher_model, parts.student, log, surroundings);
  losses::LossContext context = loss_context(recipe, models);
  if (parts.teacher && !models.teacher) {
    context.teacher = parts.teacher->layer_shape();
    context.teacher_name = core::concat("the teacher `", parts.teacher->describe(), "`");
  }
  check_losses(recipe, context);
  parts.trainable = recipe.student.lora ? begin_adapters(recipe, *parts.student)
                                        : choose_trainable(*parts.student, recipe.student.freeze);
  parts.loss = prepare_loss(recipe, context);
  for (auto& parameter : loss_parameters(*parts.loss)) {
    parts.num_loss_parameters += parameter.tensor.numel();
    parts.trainable.push_back(std::move(parameter));
  }
  parts.optimizer = recipe.train.optimizer.build(parts.trainable);
  return parts;
}

train::TrainerOptions trainer_options(const Recipe& recipe, std::int64_t steps) {
  train::TrainerOptions options;
  options.seed = static_cast<std::uint64_t>(recipe.seed);
  options.steps = steps;
  options.batch_size = recipe.train.batch_size;
  options.micro_batch_size = recipe.train.micro_batch_size;
  options.schedule = recipe.train.schedule;
  options.gradient_clip = recipe.train.gradient_clip;
  options.checkpoint = recipe.checkpoint;
  return options;
}

data::BatchStream::Options batch_options(const Recipe& recipe, std::int64_t rank,
                                         std::int64_t ranks) {
  data::BatchStream::Options options;
  options.seed = static_cast<std::uint64_t>(recipe.seed);
  options.rows_per_batch = recipe.train.micro_batch_size;
  options.rank = rank;
  options.num_ranks = ranks;
  // The micro-batches of a whole step are taken at once: those of the next are ready then.
  constexpr std::int64_t kMostAhead = 64;
  const std::int64_t a_step = recipe.train.batch_size / recipe.train.micro_batch_size / ranks;
  options.prefetch = std::clamp<std::int64_t>(2 * a_step, 2, kMostAhead);
  return options;
}

}  // namespace distill::recipe
