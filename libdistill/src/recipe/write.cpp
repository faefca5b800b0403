#include <distill/recipe/write.h>

#include "recipe/differences.h"
#include "recipe/struct_writer.h"
#include "recipe/yaml_parse.h"

namespace distill::recipe {

namespace {

detail::Node tree_of(const Recipe& recipe) {
  Recipe copy = recipe;  // a description hands out references to the fields
  return detail::to_node(core::struct_ref(copy));
}

void take_changeable(detail::Node& node, const detail::Node& now) {
  const bool map = node.kind == detail::Node::Kind::kMap;
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    detail::Node& child = node.children[i];
    const detail::Node* other = nullptr;
    if (map) {
      other = now.find(child.key);
    } else if (i < now.children.size()) {
      other = &now.children[i];
    }
    if (other == nullptr) continue;
    if (child.changeable && other->changeable) {
      child = *other;
    } else {
      take_changeable(child, *other);
    }
  }
}

}  // namespace

std::string write_recipe(const Recipe& recipe) {
  return detail::emit_yaml(tree_of(recipe));
}

std::string write_recipe_as_now(const Recipe& recipe, const Recipe& now) {
  detail::Node tree = tree_of(recipe);
  take_changeable(tree, tree_of(now));
  return detail::emit_yaml(tree);
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
