#pragma once

#include <string>

#include <distill/core/describe.h>

#include "recipe/node.h"
#include "recipe/problem_list.h"

namespace distill::recipe::detail {

/// Fills a described struct from a tree. Fields that are not given keep their values. A struct is
/// validated when all its values could be read. Everything wrong goes to `problems`. `path`: of the
/// tree, when it is a part of a larger one.
void read_struct(const Node& node, const core::StructRef& target, ProblemList& problems,
                 const std::string& path = "");

}  // namespace distill::recipe::detail
