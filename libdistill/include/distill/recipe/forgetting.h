#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <distill/recipe/recipe.h>

namespace distill::recipe {

/// The sets that `forgetting` looks at, by name; empty without it.
std::vector<std::string> monitored_sets(const Recipe& recipe);

/// `recipe.data` with the files of `forgetting.react.replay` behind those of `train`.
data::DataOptions with_replay(const Recipe& recipe);

/// What must hold between `forgetting` and the rest of the recipe.
void check_forgetting(const Recipe& recipe, core::Problems& problems);

/// The recipe that is trained after so many reactions: with other weights of the terms that compare
/// with the teacher. Which rows are trained on is DataParts' matter.
Recipe after_reactions(const Recipe& recipe, std::int64_t reactions);

}  // namespace distill::recipe
