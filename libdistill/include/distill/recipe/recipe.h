#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/registry.h>
#include <distill/data/batch_source.h>
#include <distill/losses/loss.h>
#include <distill/recipe/gate.h>
#include <distill/recipe/options.h>
#include <distill/recipe/registries.h>
#include <distill/recipe/source_map.h>
#include <distill/teachers/teacher.h>
#include <distill/train/forgetting.h>
#include <distill/train/options.h>

namespace distill::recipe {

struct TrainOptions {
  explicit TrainOptions(const Registries& registries) : optimizer(registries.optimizers, "adamw") {}

  std::optional<std::int64_t> steps;  ///< optimizer steps; or
  std::optional<double> epochs;       ///< passes over the training rows
  std::int64_t batch_size = 8;        ///< rows per optimizer step over all ranks
  std::int64_t micro_batch_size = 1;  ///< rows per forward and backward pass
  core::Component<train::Optimizer, const std::vector<models::NamedParameter>&> optimizer;
  train::ScheduleOptions schedule;
  double gradient_clip = 1.0;  ///< largest global norm; 0: off
  bool activation_checkpointing = false;
};

/// A whole training run as data. Paths are relative to the current directory.
/// The reference page docs/recipe.md is generated from `describe`.
struct Recipe {
  /// All defaults; what has none is empty. `registries` must outlive it.
  explicit Recipe(const Registries& registries)
      : teacher(registries.teachers),
        loss(registries.losses),
        train(registries),
        registries_(&registries) {}

  /// The kinds it was made with.
  const Registries& registries() const { return *registries_; }

  std::string name;
  std::string output;  ///< run folder; runs/NAME after reading when it was not given
  std::int64_t seed = 17;
  Precision precision = Precision::kFp32;
  Device device = Device::kAuto;
  StudentOptions student;
  core::Component<teachers::Teacher, const TeacherContext&> teacher;
  data::DataOptions data;
  core::ComponentList<losses::Loss> loss;
  TrainOptions train;
  train::CheckpointOptions checkpoint;
  train::EvaluateScheduleOptions evaluate;
  std::optional<train::ForgettingOptions> forgetting;  ///< absent: nobody looks
  std::vector<Gate> gates;
  SourceMap source;  ///< where it was written; no part of what it says

 private:
  const Registries* registries_;
};

/// A name of a run, which becomes a part of paths.
void check_name(const std::string& name, core::Problems& problems);

Recipe default_recipe(const Registries& registries);

void describe(core::FieldVisitor& visit, TrainOptions& options);
void describe(core::FieldVisitor& visit, Recipe& recipe);
void validate(const TrainOptions& options, core::Problems& problems);
/// What must hold between parts: a student, a teacher for the losses that need one, ...
void validate(const Recipe& recipe, core::Problems& problems);

}  // namespace distill::recipe
