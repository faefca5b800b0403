#include "recipe/merge_nodes.h"

#include <utility>

#include "recipe/struct_writer.h"

namespace distill::recipe::detail {

namespace {

bool is_map(const Node& node) {
  return node.kind == Node::Kind::kMap;
}

Node scalar(std::string text, Place place) {
  Node node;
  node.kind = Node::Kind::kQuoted;
  node.text = std::move(text);
  node.place = place;
  return node;
}

/// A mapping changes only what it names, as everywhere in a recipe; one that names its `kind`
/// replaces the whole.
void spell_out(const Node& setting, const std::string& path, std::vector<Node>& list) {
  if (!is_map(setting) || setting.children.empty() || setting.find("kind") != nullptr) {
    list.push_back(scalar(path + "=" + emit_inline(setting), setting.key_place));
    return;
  }
  for (const Node& child : setting.children) spell_out(child, join_path(path, child.key), list);
}

/// `{train: {steps: 200}}` as `{set: ["train.steps=200"]}`; what is written out already stays.
Node spelled_out(const Node& settings) {
  if (!is_map(settings) || (settings.children.size() == 1 && settings.find("set") != nullptr)) {
    return settings;
  }
  Node list;
  list.kind = Node::Kind::kList;
  list.key = "set";
  list.place = list.key_place = settings.place;
  for (const Node& child : settings.children) spell_out(child, child.key, list.children);
  Node map = settings;
  map.children = {std::move(list)};
  return map;
}

}  // namespace

Node shared(Node node) {
  node.place.shared = node.key_place.shared = true;
  for (Node& child : node.children) child = shared(std::move(child));
  return node;
}

bool names_other_kind(const Node& base, const Node& over) {
  const Node* before = base.find("kind");
  const Node* after = over.find("kind");
  return before != nullptr && after != nullptr && before->text != after->text;
}

Node merged(const Node& base, const Node& over) {
  if (!is_map(base) || !is_map(over) || names_other_kind(base, over)) return over;
  Node result = over;
  result.children.clear();
  for (const Node& child : base.children) {
    const Node* own = over.find(child.key);
    result.children.push_back(own == nullptr ? child : merged(child, *own));
  }
  for (const Node& child : over.children) {
    if (base.find(child.key) == nullptr) result.children.push_back(child);
  }
  return result;
}

void spell_out_gates(Node& recipe) {
  Node* gates = recipe.find("gates");
  if (gates == nullptr || gates->kind != Node::Kind::kList) return;
  for (Node& gate : gates->children) {
    Node* with = gate.find("with");
    if (with == nullptr) continue;
    if (is_map(*with)) {
      Node list = *with;
      list.kind = Node::Kind::kList;
      list.children = {spelled_out(*with)};
      list.children[0].key.clear();
      *with = std::move(list);
    } else {
      for (Node& settings : with->children) settings = spelled_out(settings);
    }
  }
}

}  // namespace distill::recipe::detail
