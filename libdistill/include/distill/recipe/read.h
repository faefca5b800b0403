#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include <distill/recipe/pipeline_recipe.h>
#include <distill/recipe/recipe.h>

namespace distill::recipe {

/// Reads a YAML recipe strictly; docs/recipe.md lists the keys. `overrides` are `path.to.key=value`
/// with a YAML value (`train.steps=100`, `loss.0.temperature=2`, `train.optimizer.betas=[0.9,
/// 0.99]`).
///
///     const Registries registries = builtin_registries();
///     const Recipe recipe = read_recipe_file("configs/quickstart.yaml", {}, registries);
///
/// Throws InputError when the file is missing, ConfigError with everything that is wrong, a line
/// each: `FILE:LINE: dotted.path: what, expected`.
Recipe read_recipe_file(const std::filesystem::path& path, std::span<const std::string> overrides,
                        const Registries& registries);

/// The same from text; `source` names it in messages.
Recipe read_recipe(std::string_view text, const std::string& source,
                   std::span<const std::string> overrides, const Registries& registries);

/// A recipe of one run, or with `stages:` a pipeline.
using AnyRecipe = std::variant<Recipe, PipelineRecipe>;
AnyRecipe read_any_recipe_file(const std::filesystem::path& path,
                               std::span<const std::string> overrides,
                               const Registries& registries);
AnyRecipe read_any_recipe(std::string_view text, const std::string& source,
                          std::span<const std::string> overrides, const Registries& registries);

/// The same for those who plan what they read: what is wrong with stages of a pipeline is in its
/// `problems`, for them to throw together with what they find in the good ones. Throws for all
/// else, and for stages that cannot be told apart.
AnyRecipe read_for_plan_file(const std::filesystem::path& path,
                             std::span<const std::string> overrides, const Registries& registries);
AnyRecipe read_for_plan(std::string_view text, const std::string& source,
                        std::span<const std::string> overrides, const Registries& registries);

/// The recipe with other values, as overrides give them. Throws ConfigError with everything that is
/// wrong then, and for `name`, `output` and `gates`, which stay.
Recipe changed_recipe(const Recipe& recipe, std::span<const std::string> overrides);

}  // namespace distill::recipe
