#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include <distill/core/log.h>
#include <distill/lora/export_model.h>
#include <distill/pipeline/report.h>
#include <distill/pipeline/run.h>
#include <distill/recipe/pipeline_recipe.h>

namespace distill::pipeline {

/// Does a stage in its folder, from wherever an earlier call left off. Returns the report of what
/// trains or measures. What it held in memory is given back when it returns. Throws as run_recipe,
/// capture_recipe, generation::generate_data and lora::export_model do.
std::optional<Report> run_stage(const recipe::Stage& stage, const RunOptions& options,
                                core::Logger& log);

/// How a merge is exported; `out` is left to the caller.
lora::ExportOptions merge_options(const recipe::MergeRecipe& recipe);

/// How much of its `steps` a stage that was stopped has behind it, 0 to 1; 0 of one that does not
/// train.
double share_done(const recipe::Stage& stage, std::int64_t steps);

/// The files that the result of a stage consists of.
std::vector<std::filesystem::path> result_files(const recipe::Stage& stage);

}  // namespace distill::pipeline
