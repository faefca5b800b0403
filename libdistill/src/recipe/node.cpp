#include "recipe/node.h"

#include <algorithm>

#include <distill/core/strings.h>

namespace distill::recipe::detail {

const Node* Node::find(std::string_view name) const {
  if (kind != Kind::kMap) return nullptr;
  const auto found =
      std::find_if(children.begin(), children.end(), [&](const Node& c) { return c.key == name; });
  return found == children.end() ? nullptr : &*found;
}

Node* Node::find(std::string_view name) {
  return const_cast<Node*>(static_cast<const Node*>(this)->find(name));
}

std::string describe_node(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kPlain:
      return core::concat("`", core::printable(node.text), "`");
    case Node::Kind::kQuoted:
      return core::concat("the text \"", core::printable(node.text), "\"");
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "a mapping";
    default:
      return "nothing";
  }
}

std::string join_path(const std::string& a, const std::string& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  return a + "." + b;
}

}  // namespace distill::recipe::detail
