#include "recipe/differences.h"

#include <algorithm>
#include <map>

#include <distill/core/strings.h>

#include "recipe/struct_writer.h"

namespace distill::recipe::detail {

namespace {

struct Leaves {
  std::vector<std::string> order;
  std::map<std::string, std::string> values;
};

void collect(const Node& node, const std::string& path, Leaves& leaves) {
  // A list of plain values is one leaf: the difference is easier to see.
  const bool plain = std::all_of(node.children.begin(), node.children.end(),
                                 [](const Node& child) { return child.children.empty(); });
  if (node.children.empty() || (node.kind == Node::Kind::kList && plain)) {
    leaves.order.push_back(path);
    leaves.values[path] = emit_inline(node);
    return;
  }
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    const Node& child = node.children[i];
    collect(child, join_path(path, node.kind == Node::Kind::kMap ? child.key : std::to_string(i)),
            leaves);
  }
}

std::string shown(const Leaves& leaves, const std::string& path) {
  const auto found = leaves.values.find(path);
  return found == leaves.values.end() ? "(not set)" : found->second;
}

}  // namespace

std::vector<std::string> differences(const Node& before, const Node& after) {
  Leaves old_leaves;
  Leaves new_leaves;
  collect(before, "", old_leaves);
  collect(after, "", new_leaves);
  std::vector<std::string> paths = new_leaves.order;
  for (const auto& path : old_leaves.order) {
    if (!new_leaves.values.contains(path)) paths.push_back(path);
  }
  std::vector<std::string> lines;
  for (const auto& path : paths) {
    const std::string before_text = shown(old_leaves, path);
    const std::string after_text = shown(new_leaves, path);
    if (before_text != after_text) {
      lines.push_back(core::concat(core::printable(path, 100), ": ", core::printable(before_text),
                                   " -> ", core::printable(after_text)));
    }
  }
  return lines;
}

}  // namespace distill::recipe::detail
