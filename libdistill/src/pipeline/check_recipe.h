#pragma once

#include <distill/pipeline/run_folder.h>
#include <distill/recipe/recipe.h>

namespace distill::pipeline {

/// Everything that is wrong with the recipe of a single run and can be told by its paths, its gates
/// and the shapes of its models: before a run folder is made, and before data is read. Throws
/// ConfigError, a line for each with file and line. A run that is done, and is not to begin again,
/// needs its data no more.
void check_recipe(const recipe::Recipe& recipe, StartPolicy policy);

}  // namespace distill::pipeline
