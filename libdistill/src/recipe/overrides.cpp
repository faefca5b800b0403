#include "recipe/overrides.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <distill/core/strings.h>

#include "recipe/merge_nodes.h"
#include "recipe/yaml_parse.h"

namespace distill::recipe::detail {

namespace {

/// The names between the dots; nothing when one of them is empty.
std::optional<std::vector<std::string>> split_path(std::string_view path) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    if (end == begin) return std::nullopt;
    names.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

std::optional<std::size_t> parse_index(const std::string& name) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return index;
}

/// The mapping with this `name` in a list; null where there is none.
Node* find_named(Node& list, const std::string& name) {
  for (Node& child : list.children) {
    const Node* own = child.find("name");
    if (own != nullptr && own->is_scalar() && own->text == name) return &child;
  }
  return nullptr;
}

/// `, or a name: a, b`, or nothing.
std::string names_in(const Node& list) {
  std::vector<std::string> names;
  for (const Node& child : list.children) {
    const Node* own = child.find("name");
    if (own != nullptr && own->is_scalar()) names.push_back(core::printable(own->text));
  }
  return names.empty() ? "" : ", or a name: " + core::join(names);
}

/// What a stage takes from the defaults as `name` of `own`, where it says nothing itself; null:
/// nothing. `inherited`: what it takes in the place of `own`, may be null.
const Node* inherited_child(const Node* inherited, const Node& own, const std::string& name) {
  if (inherited == nullptr || names_other_kind(*inherited, own)) return nullptr;
  return inherited->find(name);
}

/// A key that a mapping did not have. Lists are not merged with the defaults as mappings are: one
/// that a stage takes from there is copied, so that a change of one value keeps the others.
Node new_child(const std::string& name, Place place, const Node* inherited) {
  Node child;
  child.place = place;
  if (inherited != nullptr && inherited->kind == Node::Kind::kList) child = shared(*inherited);
  child.key = name;
  child.key_place = place;
  return child;
}

/// The child `name` of `node`, made when it is a mapping without it; null with `why` set otherwise.
/// `inherited`: as for new_child.
Node* descend(Node& node, const std::string& name, Place place, const Node* inherited,
              std::string& why) {
  if (node.kind == Node::Kind::kNull) {
    node.kind = Node::Kind::kMap;
    node.place = place;
  }
  if (node.kind == Node::Kind::kMap) {
    if (Node* child = node.find(name)) return child;
    if (node.children.size() >= static_cast<std::size_t>(kMaxYamlNodes)) {
      why = "too many keys";
      return nullptr;
    }
    return &node.children.emplace_back(new_child(name, place, inherited));
  }
  if (node.kind == Node::Kind::kList) {
    const auto index = parse_index(name);
    if (index && *index < node.children.size()) return &node.children[*index];
    if (Node* named = find_named(node, name)) return named;
    why =
        core::concat("`", core::printable(name), "` does not index the list there, expected 0 to ",
                     node.children.size(), " exclusive", names_in(node));
    return nullptr;
  }
  why = core::concat("cannot set `", core::printable(name), "` inside ", describe_node(node),
                     ", expected a mapping or a list there");
  return nullptr;
}

/// Where a path of names leads, with what is made on the way; null and a problem where it cannot.
Node* find_place(Node& root, const std::vector<std::string>& names, Place place,
                 ProblemList& problems) {
  constexpr std::size_t kInStage = 2;  // behind `stages` and which of them
  Node* node = &root;
  const Node* inherited = nullptr;
  std::string path;
  for (std::size_t depth = 0; depth < names.size(); ++depth) {
    const std::string& name = names[depth];
    if (depth == kInStage && names.front() == "stages") inherited = &root;
    inherited = inherited_child(inherited, *node, name);
    std::string why;
    Node* child = descend(*node, name, place, inherited, why);
    if (child == nullptr) {
      problems.add(place, path, why);
      return nullptr;
    }
    node = child;
    node->place.shared = false;  // a copy that is changed here is the stage's own
    path = join_path(path, name);
  }
  return node;
}

void apply(Node& root, const std::string& override, Place place, ProblemList& problems) {
  const std::size_t equals = override.find('=');
  const auto names =
      split_path(std::string_view(override).substr(0, std::min(equals, override.size())));
  if (equals == std::string::npos || !names) {
    problems.add(place, "", "not of the form path.to.key=value");
    return;
  }
  if (names->size() > static_cast<std::size_t>(kMaxYamlDepth)) {
    problems.add(place, "", core::concat("a path of more than ", kMaxYamlDepth, " names"));
    return;
  }
  auto value = parse_yaml(std::string_view(override).substr(equals + 1), place.override, problems);
  if (!value) return;
  Node* node = find_place(root, *names, place, problems);
  if (node == nullptr) return;
  value->key = node->key;
  value->key_place = value->place = place;
  *node = std::move(*value);
}

bool is_of_stages(std::string_view override) {
  return override.starts_with("stages.") || override.starts_with("stages=");
}

}  // namespace

void apply_overrides(Node& root, std::span<const std::string> overrides, ProblemList& problems) {
  // Stages last: what they copy from the defaults is then as the other overrides leave it.
  for (const bool of_stages : {false, true}) {
    for (std::size_t i = 0; i < overrides.size(); ++i) {
      if (is_of_stages(overrides[i]) != of_stages) continue;
      apply(root, overrides[i], Place{0, static_cast<std::int64_t>(i + 1)}, problems);
    }
  }
}

}  // namespace distill::recipe::detail
