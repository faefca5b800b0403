#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/pipeline/plan.h>
#include <distill/pipeline/run.h>
#include <distill/recipe/pipeline_recipe.h>

namespace distill::pipeline {

/// A further try that a gate of a stage may ask for.
struct PlannedTry {
  std::string where;  ///< `gates.0.with.1`
  MemoryEstimate memory;
};

/// What a stage would do.
struct StagePlan {
  std::string name;
  recipe::StageKind kind = recipe::StageKind::kTrain;
  std::string state;         ///< `new`, `goes on`, `done`, `done, but WHY`, or `again: WHY`
  bool is_done = false;      ///< nothing is planned then
  std::optional<Plan> plan;  ///< of train and evaluate
  std::string models;        ///< who teaches whom, for people
  at::Device device = at::kCPU;
  MemoryEstimate memory;
  std::vector<PlannedTry> tries;
  DiskEstimate disk;
  std::int64_t tokens = 0;  ///< that its models read or write
  /// Floating-point operations, about: 2 for each parameter and token of a forward pass.
  double work = 0;
  std::int64_t steps = 0;
};

struct PipelinePlan {
  std::vector<StagePlan> stages;
  std::vector<std::string> warnings;
  std::optional<std::uint64_t> free_space;  ///< where its folder is
  std::uint64_t disk() const;               ///< of what is not done
};

/// Plans every stage that is not done with what will be there when it begins, and the further tries
/// that its gates may ask for. Trains nothing and writes nothing but the token cache and, in
/// `options.scratch_folder`, what goes again. `redo`:
/// names of stages to do again. Throws ConfigError with everything that is wrong with any stage, a
/// line each, with file and line; Interrupted.
PipelinePlan plan_pipeline(const recipe::PipelineRecipe& recipe,
                           const std::vector<std::string>& redo, const RunOptions& options,
                           core::Logger& log);

std::string plan_text(const recipe::PipelineRecipe& recipe, const PipelinePlan& plan);
std::string plan_json(const recipe::PipelineRecipe& recipe, const PipelinePlan& plan);

}  // namespace distill::pipeline
