#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include <distill/core/log.h>
#include <distill/pipeline/report.h>
#include <distill/pipeline/run.h>
#include <distill/recipe/pipeline_recipe.h>

namespace distill::pipeline {

/// Does a stage in its folder, from wherever an earlier call left off. Returns the report of what
/// trains or measures. What it held in memory is given back when it returns. Throws as run_recipe,
/// capture_recipe, generation::generate_data and lora::export_model do.
std::optional<Report> run_stage(const recipe::Stage& stage, const RunOptions& options,
                                core::Logger& log);

/// The files that the result of a stage consists of.
std::vector<std::filesystem::path> result_files(const recipe::Stage& stage);

}  // namespace distill::pipeline
