#pragma once

#include <distill/core/describe.h>

#include "recipe/node.h"
#include "recipe/problem_list.h"

namespace distill::recipe::detail {

/// Fills a described struct from a tree. Fields that are not given keep their values. A struct is
/// validated when all its values could be read. Everything wrong goes to `problems`.
void read_struct(const Node& node, const core::StructRef& target, ProblemList& problems);

}  // namespace distill::recipe::detail
