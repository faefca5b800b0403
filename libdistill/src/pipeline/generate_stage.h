#pragma once

#include <distill/core/log.h>
#include <distill/pipeline/run.h>
#include <distill/recipe/pipeline_recipe.h>

namespace distill::pipeline {

/// Has a teacher write the rows of a stage. Throws as generation::generate_data.
void run_generate(const recipe::Stage& stage, const RunOptions& options, core::Logger& log);

/// What decides how prompts are written for the teacher, looked at before anything runs. Throws
/// InputError, beginning with the key that it is about.
void check_generator(const recipe::GenerateRecipe& recipe);

/// The key of the server that the stage asks can be had, where it names one. Throws InputError,
/// beginning with the key of the recipe that is wrong.
void check_secret(const recipe::Stage& stage, const RunOptions& options);

}  // namespace distill::pipeline
