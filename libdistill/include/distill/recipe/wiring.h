#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <distill/core/log.h>
#include <distill/data/batch_source.h>
#include <distill/io/logit_cache.h>
#include <distill/losses/loss.h>
#include <distill/models/causal_lm.h>
#include <distill/models/load.h>
#include <distill/recipe/model_facts.h>
#include <distill/recipe/named_sets.h>
#include <distill/recipe/preflight.h>
#include <distill/recipe/recipe.h>
#include <distill/teachers/teacher.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>
#include <distill/train/optimizer.h>
#include <distill/train/trainer.h>

/// From a recipe to the objects of a run: the composition root. Each function throws InputError and
/// its children for what the recipe's files do not allow.
namespace distill::recipe {

/// The models of a run before any weight is read.
struct PlannedModels {
  ModelFacts student;
  std::optional<ModelFacts> teacher;             ///< of `kind: local`
  std::vector<ModelFacts> several;               ///< of `kind: several`, as the recipe lists them
  std::optional<io::LogitCacheInfo> cache = {};  ///< of `kind: cache`
  at::Device device = at::kCPU;                  ///< where both run
  models::AdapterChoice adapters;                ///< of the student; empty: it is trained itself
};
/// Also refuses what cannot be run: a device that is not there, an architecture, config or table of
/// tensors that loading would refuse, patterns in `student.freeze` that match nothing or leave
/// nothing to train, targets of adapters that mean no layer, rows longer than a model's positions,
/// losses over layers that a local teacher or the student does not have, a cache that is not there,
/// not finished, or not what the recipe's loss needs.
PlannedModels plan_models(const Recipe& recipe);

struct DataParts {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::shared_ptr<const text::ChatTemplate> chat;  ///< null: none
  std::shared_ptr<const data::Dataset> train;
  /// With `forgetting.react.replay` mixed in; null without.
  std::shared_ptr<const data::Dataset> with_replay;
  std::shared_ptr<const data::Dataset> eval;  ///< null when the recipe has no files for it
  std::vector<NamedSet> sets;                 ///< of `evaluate.sets`
  Preflight preflight;                        ///< without errors
  /// The teacher reads the training data in its own tokens: id by id it cannot be compared with.
  bool across_tokenizers = false;
  /// Tokens that it reads for each of the student's, about; 1 where both read the same.
  double teacher_tokens_a_token = 1;
};
struct DataHooks {
  std::function<void()> between_rows = {};  ///< called often; what it throws ends the reading
  std::function<void(const data::ReadProgress&)> progress = {};
  std::string cache_folder = {};  ///< what `data.cache: auto` stands for; empty: off
};
/// Tokenizes all data with the student's tokenizer, and for a loss that compares texts the training
/// data with the teacher's too. Throws ConfigError when a teacher gives logits over another
/// tokenizer's ids, a cache does not hold what will be asked of it, or whatever else of the
/// preflight is an error.
DataParts load_data(const Recipe& recipe, const PlannedModels& models, core::Logger& log,
                    const DataHooks& hooks = {});

/// Optimizer steps of the whole run. Throws ConfigError when the warm-up is not shorter.
std::int64_t total_steps(const Recipe& recipe, std::int64_t train_rows);

/// How the weights of a run are loaded.
models::LoadOptions teacher_load_options(const Recipe& recipe, const PlannedModels& models);
models::LoadOptions student_load_options(const Recipe& recipe, const PlannedModels& models);

struct ModelParts {
  std::shared_ptr<models::CausalLm> student;
  /// Want gradients, the others of the student do not; the loss's own, named `loss.NAME`, are last.
  std::vector<models::NamedParameter> trainable;
  std::int64_t num_loss_parameters = 0;             ///< elements of the loss's own
  std::shared_ptr<models::CausalLm> teacher_model;  ///< null unless `kind: local`
  std::unique_ptr<teachers::Teacher> teacher;       ///< null: none
  std::unique_ptr<losses::Loss> loss;
  std::unique_ptr<train::Optimizer> optimizer;
};
/// Reads weights, calls on a teacher's server and makes the loss ready. `available_memory` as in
/// models::LoadOptions. Throws ConfigError when a loss wants inner layers that the teacher does not
/// show, or a server's model and the student do not go together.
ModelParts load_models(const Recipe& recipe, const PlannedModels& models, core::Logger& log,
                       std::optional<std::uint64_t> available_memory = {},
                       const Surroundings& surroundings = {});

/// The same of a student that is measured and not trained: no loss, no optimizer, nothing wants a
/// gradient, and weights are only read.
ModelParts load_to_measure(const Recipe& recipe, const PlannedModels& models, core::Logger& log,
                           std::optional<std::uint64_t> available_memory = {},
                           const Surroundings& surroundings = {});

/// The options of the trainer and of the batches.
train::TrainerOptions trainer_options(const Recipe& recipe, std::int64_t steps);
data::BatchStream::Options batch_options(const Recipe& recipe, std::int64_t rank,
                                         std::int64_t ranks);

}  // namespace distill::recipe
