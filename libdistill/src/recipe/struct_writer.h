#pragma once

#include <string>

#include <distill/core/describe.h>

#include "recipe/node.h"

namespace distill::recipe::detail {

/// A described struct as a tree: every field, optionals that are absent left out.
Node to_node(const core::StructRef& source);
Node to_node(const core::ValueRef& source);

/// The tree as YAML that parse_yaml reads back to an equal tree.
std::string emit_yaml(const Node& node);

/// A scalar, or a whole list or mapping on one line: `[0.9, 0.95]`.
std::string emit_inline(const Node& node);

}  // namespace distill::recipe::detail
