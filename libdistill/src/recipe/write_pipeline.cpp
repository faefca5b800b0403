#include <algorithm>
#include <utility>

#include <distill/recipe/write.h>

#include "recipe/differences.h"
#include "recipe/struct_writer.h"
#include "recipe/yaml_parse.h"

namespace distill::recipe {

namespace {

using detail::Node;

Node text(std::string key, std::string value) {
  Node node;
  node.kind = Node::Kind::kQuoted;
  node.key = std::move(key);
  node.text = std::move(value);
  return node;
}

void erase(Node& map, std::initializer_list<std::string_view> keys) {
  std::erase_if(map.children, [&](const Node& child) {
    return std::ranges::find(keys, std::string_view(child.key)) != keys.end();
  });
}

/// What the reader of a pipeline sets itself goes.
void leave_out_given(Node& node, StageKind kind) {
  erase(node, {"name", "output"});
  if (kind == StageKind::kCache || kind == StageKind::kEvaluate) {
    erase(node, {"loss", "train", "checkpoint", "forgetting"});
  }
  if (kind == StageKind::kCache) {
    erase(node, {"gates", "evaluate"});
    if (Node* teacher = node.find("teacher")) erase(*teacher, {"path"});
  }
  if (kind == StageKind::kEvaluate) {
    if (Node* evaluate = node.find("evaluate")) erase(*evaluate, {"every", "at_start", "at_end"});
    if (Node* data = node.find("data")) erase(*data, {"train"});
  }
}

Node tree_of(const Stage& stage) {
  const auto to_tree = [](auto recipe) {  // a description hands out references to the fields
    return detail::to_node(core::struct_ref(recipe));
  };
  Node node = std::visit(to_tree, stage.recipe);
  leave_out_given(node, stage.kind);
  node.children.insert(node.children.begin(), text("kind", std::string(name_of(stage.kind))));
  node.children.insert(node.children.begin(), text("name", stage.name));
  return node;
}

void erase_changeable(Node& node) {
  std::erase_if(node.children, [](const Node& child) { return child.changeable; });
  for (Node& child : node.children) erase_changeable(child);
}

const Node* find_stage(const Node& root, const std::string& name) {
  const Node* stages = root.find("stages");
  if (stages == nullptr) return nullptr;
  for (const Node& stage : stages->children) {
    const Node* own = stage.find("name");
    if (own != nullptr && own->text == name) return &stage;
  }
  return nullptr;
}

}  // namespace

std::string write_recipe(const PipelineRecipe& recipe) {
  Node root;
  root.kind = Node::Kind::kMap;
  root.children = {text("name", recipe.name), text("output", recipe.output)};
  Node stages;
  stages.kind = Node::Kind::kList;
  stages.key = "stages";
  for (const Stage& stage : recipe.stages) stages.children.push_back(tree_of(stage));
  root.children.push_back(std::move(stages));
  return detail::emit_yaml(root);
}

std::string stage_identity(const Stage& stage) {
  Node node = tree_of(stage);
  erase_changeable(node);
  return detail::emit_yaml(node);
}

std::map<std::string, std::vector<std::string>> stage_differences(std::string_view before,
                                                                  const std::string& before_source,
                                                                  const PipelineRecipe& now) {
  detail::ProblemList problems(before_source, {});
  const auto old_tree = detail::parse_yaml(before, 0, problems);
  const auto new_tree = detail::parse_yaml(write_recipe(now), 0, problems);
  problems.throw_if_any();
  std::map<std::string, std::vector<std::string>> result;
  for (const Stage& stage : now.stages) {
    const Node* old_stage = find_stage(*old_tree, stage.name);
    const Node* new_stage = find_stage(*new_tree, stage.name);
    if (old_stage == nullptr || new_stage == nullptr) continue;
    auto lines = detail::differences(*old_stage, *new_stage);
    if (!lines.empty()) result[stage.name] = std::move(lines);
  }
  return result;
}

}  // namespace distill::recipe
