#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace distill::recipe::detail {

/// Where a value was written: a line of the recipe, or one of the overrides.
struct Place {
  std::int64_t line = 0;      ///< from 1; 0: nowhere (a default)
  std::int64_t override = 0;  ///< from 1; 0: in the file
  bool shared = false;        ///< in the part of a chain's recipe that all stages have
};

/// One YAML value, free of yaml-cpp. A list has children; a mapping has children with keys.
struct Node {
  enum class Kind {
    kNull,
    kPlain,   ///< a scalar without quotes
    kQuoted,  ///< a scalar in quotes or a block of text
    kList,
    kMap,
    kInvalid,  ///< refused and reported already; readers pass over it
  };
  Kind kind = Kind::kNull;
  std::string text;  ///< of a scalar
  std::string key;   ///< inside a mapping
  Place place;
  Place key_place;
  bool changeable = false;  ///< it says nothing about what a run comes to (core::changeable)
  std::vector<Node> children;

  bool is_scalar() const { return kind == Kind::kPlain || kind == Kind::kQuoted; }
  const Node* find(std::string_view name) const;
  Node* find(std::string_view name);
};

/// For messages: `a list`, `a mapping`, `nothing`, `` `4.7` ``, `the text "4"`.
std::string describe_node(const Node& node);

/// `a` and `b` as `a.b`; `b` alone when `a` is empty.
std::string join_path(const std::string& a, const std::string& b);

}  // namespace distill::recipe::detail
