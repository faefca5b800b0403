#pragma once

#include <filesystem>

#include <distill/core/log.h>
#include <distill/pipeline/report.h>
#include <distill/pipeline/run.h>
#include <distill/recipe/recipe.h>

namespace distill::pipeline {

/// Measures the student of a recipe on `data.eval`, against its teacher if there is one, holds its
/// gates against that and writes report.json into `folder`. Throws as run_recipe does, and Error
/// for a gate that stops.
Report evaluate_recipe(const recipe::Recipe& recipe, const std::filesystem::path& folder,
                       const RunOptions& options, core::Logger& log);

}  // namespace distill::pipeline
