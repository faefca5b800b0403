#include <distill/recipe/read.h>

#include <array>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/strings.h>

#include "recipe/merge_nodes.h"
#include "recipe/overrides.h"
#include "recipe/read_pipeline.h"
#include "recipe/source_places.h"
#include "recipe/struct_reader.h"
#include "recipe/struct_writer.h"
#include "recipe/yaml_parse.h"

namespace distill::recipe {

namespace {

Recipe read_one(detail::Node root, const std::string& source, const Registries& registries,
                detail::ProblemList& problems) {
  Recipe recipe = default_recipe(registries);
  detail::spell_out_gates(root);
  detail::read_struct(root, core::struct_ref(recipe), problems);
  recipe.source = detail::source_map(root, source, "", problems);
  if (problems.empty()) detail::check_retries(recipe, problems);
  if (recipe.output.empty()) recipe.output = "runs/" + recipe.name;
  return recipe;
}

}  // namespace

AnyRecipe read_for_plan(std::string_view text, const std::string& source,
                        std::span<const std::string> overrides, const Registries& registries) {
  detail::ProblemList problems(source, {overrides.begin(), overrides.end()});
  AnyRecipe result = default_recipe(registries);
  if (auto root = detail::parse_yaml(text, 0, problems)) {
    detail::apply_overrides(*root, overrides, problems);
    if (root->find("stages") != nullptr) {
      return detail::read_pipeline(std::move(*root), source, registries, problems);
    }
    result = read_one(std::move(*root), source, registries, problems);
  }
  problems.throw_if_any();
  return result;
}

AnyRecipe read_for_plan_file(const std::filesystem::path& path,
                             std::span<const std::string> overrides, const Registries& registries) {
  return read_for_plan(core::read_file(path, detail::kMaxYamlBytes), path.string(), overrides,
                       registries);
}

AnyRecipe read_any_recipe(std::string_view text, const std::string& source,
                          std::span<const std::string> overrides, const Registries& registries) {
  AnyRecipe result = read_for_plan(text, source, overrides, registries);
  const auto* pipeline = std::get_if<PipelineRecipe>(&result);
  if (pipeline != nullptr && !pipeline->problems.empty()) {
    throw ConfigError(core::join(pipeline->problems, "\n"));
  }
  return result;
}

AnyRecipe read_any_recipe_file(const std::filesystem::path& path,
                               std::span<const std::string> overrides,
                               const Registries& registries) {
  return read_any_recipe(core::read_file(path, detail::kMaxYamlBytes), path.string(), overrides,
                         registries);
}

Recipe read_recipe(std::string_view text, const std::string& source,
                   std::span<const std::string> overrides, const Registries& registries) {
  auto any = read_any_recipe(text, source, overrides, registries);
  if (auto* recipe = std::get_if<Recipe>(&any)) return std::move(*recipe);
  fail<ConfigError>(source,
                    ": stages: is a pipeline of several runs, expected the recipe of one; "
                    "`distill_train` runs it");
}

Recipe read_recipe_file(const std::filesystem::path& path, std::span<const std::string> overrides,
                        const Registries& registries) {
  return read_recipe(core::read_file(path, detail::kMaxYamlBytes), path.string(), overrides,
                     registries);
}

Recipe changed_recipe(const Recipe& recipe, std::span<const std::string> overrides) {
  for (const std::string& override : overrides) {
    for (const std::string_view fixed : {"name", "output", "gates"}) {
      const std::string_view key = std::string_view(override).substr(0, fixed.size() + 1);
      if (key == core::concat(fixed, '=') || key == core::concat(fixed, '.')) {
        fail<ConfigError>("`", core::printable(override), "`: `", fixed, "` cannot be changed");
      }
    }
  }
  detail::ProblemList problems("", {overrides.begin(), overrides.end()});
  Recipe before = recipe;
  detail::Node root = detail::to_node(core::struct_ref(before));
  detail::apply_overrides(root, overrides, problems);
  Recipe changed = default_recipe(recipe.registries());
  detail::read_struct(root, core::struct_ref(changed), problems);
  problems.throw_if_any();
  changed.source = recipe.source;
  return changed;
}

}  // namespace distill::recipe
