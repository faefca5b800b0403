#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <distill/recipe/recipe.h>

namespace distill::recipe {

/// The recipe as YAML with every field; read_recipe gives an equal one back. The same recipe always
/// gives the same text.
std::string write_recipe(const Recipe& recipe);

/// What differs between two resolved recipes, as `train.steps: 100 -> 200`; empty when they are the
/// same. Throws ConfigError when one is not YAML.
std::vector<std::string> recipe_differences(std::string_view before,
                                            const std::string& before_source,
                                            std::string_view after);

/// The reference page of all keys, in Markdown: type, default and meaning.
std::string recipe_reference(const Registries& registries);

}  // namespace distill::recipe
