#pragma once

#include <string>
#include <vector>

#include "recipe/node.h"

namespace distill::recipe::detail {

/// `train.steps: 100 -> 200` for every leaf that is not the same in both trees.
std::vector<std::string> differences(const Node& before, const Node& after);

}  // namespace distill::recipe::detail
