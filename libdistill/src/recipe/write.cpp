#include <distill/recipe/write.h>

#include "recipe/differences.h"
#include "recipe/struct_writer.h"
#include "recipe/yaml_parse.h"

namespace distill::recipe {

std::string write_recipe(const Recipe& recipe) {
  Recipe copy = recipe;  // a description hands out references to the fields
  return detail::emit_yaml(detail::to_node(core::struct_ref(copy)));
}

std::vector<std::string> recipe_differences(std::string_view before,
                                            const std::string& before_source,
                                            std::string_view after) {
  detail::ProblemList problems(before_source, {});
  const auto old_tree = detail::parse_yaml(before, 0, problems);
  const auto new_tree = detail::parse_yaml(after, 0, problems);
  problems.throw_if_any();
  return detail::differences(*old_tree, *new_tree);
}

}  // namespace distill::recipe
