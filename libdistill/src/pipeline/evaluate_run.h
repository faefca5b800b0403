#pragma once

#include <distill/core/log.h>
#include <distill/pipeline/report.h>
#include <distill/pipeline/run.h>
#include <distill/recipe/recipe.h>

namespace distill::pipeline {

/// Measures the student of a recipe in its run folder, as a run does after training: on `data.eval`
/// against its teacher, and on `evaluate.sets`. Holds its gates against that and writes the report.
/// What was measured is not measured again. Throws as run_recipe does.
Report evaluate_recipe(const recipe::Recipe& recipe, const RunOptions& options, core::Logger& log);

}  // namespace distill::pipeline
