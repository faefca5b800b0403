#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "recipe/node.h"
#include "recipe/problem_list.h"

namespace distill::recipe::detail {

/// Bounds on YAML from outside.
constexpr std::uint64_t kMaxYamlBytes = std::uint64_t{1} << 20;
constexpr std::int64_t kMaxYamlNodes = 10'000;
constexpr std::int64_t kMaxYamlDepth = 32;

/// One YAML document as a tree. Refused: duplicate keys, anchors, aliases, tags, a second document,
/// keys that are not plain text, bytes that are not UTF-8, anything past the bounds above. Nothing
/// when it cannot be read at all; the reason is in `problems`.
/// `override` > 0: the text is the value of that override, and places say so.
std::optional<Node> parse_yaml(std::string_view text, std::int64_t override, ProblemList& problems);

}  // namespace distill::recipe::detail
