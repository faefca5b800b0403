#pragma once

#include <string>

#include <distill/recipe/source_map.h>

#include "recipe/node.h"
#include "recipe/problem_list.h"

namespace distill::recipe::detail {

/// The place of every value of a tree. `problems` knows the overrides.
SourceMap source_map(const Node& node, const std::string& file, const std::string& prefix,
                     const ProblemList& problems);

}  // namespace distill::recipe::detail
