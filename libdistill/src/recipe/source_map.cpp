#include <distill/recipe/source_map.h>

#include <distill/core/strings.h>

#include "recipe/node.h"
#include "recipe/source_places.h"

namespace distill::recipe {

std::string SourceMap::where(const std::string& path) const {
  const std::string shown = detail::join_path(prefix, path);
  for (std::string around = path;;) {
    const auto found = places.find(around);
    if (found != places.end()) return core::concat(found->second, ": ", shown);
    if (around.empty()) break;
    const auto dot = around.rfind('.');
    around = dot == std::string::npos ? "" : around.substr(0, dot);
  }
  return file.empty() ? shown : core::concat(file, ": ", shown);
}

namespace detail {

namespace {

void collect(const Node& node, const std::string& path, const ProblemList& problems,
             SourceMap& map) {
  map.places.emplace(path, problems.where(node.place));
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    const Node& child = node.children[i];
    collect(child, join_path(path, node.kind == Node::Kind::kMap ? child.key : std::to_string(i)),
            problems, map);
  }
}

}  // namespace

SourceMap source_map(const Node& node, const std::string& file, const std::string& prefix,
                     const ProblemList& problems) {
  SourceMap map{file, prefix, {}};
  collect(node, "", problems, map);
  return map;
}

}  // namespace detail

}  // namespace distill::recipe
