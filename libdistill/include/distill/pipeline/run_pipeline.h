#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/pipeline/report.h>
#include <distill/pipeline/run.h>
#include <distill/recipe/pipeline_recipe.h>

namespace distill::pipeline {

struct StageOutcome {
  std::string name = {};
  recipe::StageKind kind = recipe::StageKind::kTrain;
  bool was_done = false;  ///< before this call
  double seconds = 0;     ///< of the process that ended it
  std::optional<Report> report =
      {};  ///< of what trains or measures; with `stopped`: it did not end
  std::optional<RunCosts> earlier_attempts = {};  ///< of one that failed and has no report
};

struct PipelineResult {
  std::string name;
  std::filesystem::path folder;
  std::vector<StageOutcome> stages;
  std::string final_stage;      ///< whose model `final` leads to; empty: there is none
  std::filesystem::path model;  ///< OUTPUT/final
  std::filesystem::path base;   ///< the model folder beneath, when that is an adapter folder
  std::string stopped;          ///< why the last of `stages` did not end; empty: all are done
};

/// Runs the stages of a pipeline in their order, each in OUTPUT/stages/NAME. What is done and
/// unchanged is skipped; what changed in the recipe is done again, and all that depends on it, with
/// the old moved aside; what was stopped goes on, and ends with the same bytes. One model's memory
/// is given back before the next stage begins. `redo`: names of stages to do again.
///
///     const auto recipe = recipe::read_any_recipe_file("configs/progressive.yaml", {},
///     registries); run_pipeline(std::get<recipe::PipelineRecipe>(recipe), {}, options, log);
///
/// Everything wrong with any stage is found before the first step: throws as plan_pipeline does,
/// InputError when a stage needs more memory than there is; then as run_recipe. A stage that fails
/// or is stopped by a gate leaves OUTPUT/stopped.json and a page of what was done up to there.
PipelineResult run_pipeline(const recipe::PipelineRecipe& recipe,
                            const std::vector<std::string>& redo, const RunOptions& options,
                            core::Logger& log);

/// OUTPUT/report.json: what report.json of the last training stage (`measured_stage`) says of
/// before and after, the costs of all, attempts that gates had repeated included, and their
/// reports.
std::string to_json(const PipelineResult& result);
/// All stages side by side, for people.
std::string stage_table(const PipelineResult& result);

}  // namespace distill::pipeline
