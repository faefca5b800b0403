#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <distill/recipe/pipeline_recipe.h>
#include <distill/recipe/recipe.h>

namespace distill::recipe {

/// The recipe as YAML with every field; read_recipe gives an equal one back. The same recipe always
/// gives the same text.
std::string write_recipe(const Recipe& recipe);

/// The same with the values of `now` where they may change when a run goes on (core::changeable):
/// when it is then the text of `now`, both recipes come to the same.
std::string write_recipe_as_now(const Recipe& recipe, const Recipe& now);

/// A pipeline as YAML, every stage with every field and with paths in the place of `${...}`;
/// read_any_recipe gives an equal one back.
std::string write_recipe(const PipelineRecipe& recipe);

/// All that decides what a stage comes to, as text: without what may change when a run goes on.
std::string stage_identity(const Stage& stage);

/// What differs between the stages of a stored pipeline and those of `now`, by the name of the
/// stage, as recipe_differences; nothing of stages that only one of them has. Throws ConfigError
/// when `before` is not YAML.
std::map<std::string, std::vector<std::string>> stage_differences(std::string_view before,
                                                                  const std::string& before_source,
                                                                  const PipelineRecipe& now);

/// What differs between two resolved recipes, as `train.steps: 100 -> 200`; empty when they are the
/// same. Throws ConfigError when one is not YAML.
std::vector<std::string> recipe_differences(std::string_view before,
                                            const std::string& before_source,
                                            std::string_view after);

/// The reference page of all keys, in Markdown: type, default and meaning.
std::string recipe_reference(const Registries& registries);

}  // namespace distill::recipe
