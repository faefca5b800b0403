#pragma once

#include <filesystem>
#include <string>

#include <distill/recipe/pipeline_recipe.h>

#include "recipe/node.h"
#include "recipe/problem_list.h"

namespace distill::recipe::detail {

/// A file with `stages:` as a tree, its overrides applied. What is wrong with stages is in the
/// result's `problems`; where they cannot be told apart, or something was wrong before, throws
/// ConfigError with everything.
PipelineRecipe read_pipeline(Node root, const std::string& source, const Registries& registries,
                             ProblemList& problems);

/// Whether the settings of a gate's further tries can be read onto the recipe, as `gates.N.with`.
void check_retries(const Recipe& recipe, ProblemList& problems);

}  // namespace distill::recipe::detail
