#include <distill/recipe/read.h>

#include <distill/core/files.h>

#include "recipe/overrides.h"
#include "recipe/struct_reader.h"
#include "recipe/yaml_parse.h"

namespace distill::recipe {

Recipe read_recipe(std::string_view text, const std::string& source,
                   std::span<const std::string> overrides, const Registries& registries) {
  detail::ProblemList problems(source, {overrides.begin(), overrides.end()});
  Recipe recipe = default_recipe(registries);
  if (auto root = detail::parse_yaml(text, 0, problems)) {
    detail::apply_overrides(*root, overrides, problems);
    detail::read_struct(*root, core::struct_ref(recipe), problems);
  }
  problems.throw_if_any();
  if (recipe.output.empty()) recipe.output = "runs/" + recipe.name;
  return recipe;
}

Recipe read_recipe_file(const std::filesystem::path& path, std::span<const std::string> overrides,
                        const Registries& registries) {
  return read_recipe(core::read_file(path, detail::kMaxYamlBytes), path.string(), overrides,
                     registries);
}

}  // namespace distill::recipe
