#pragma once

#include <span>
#include <string>

#include "recipe/node.h"
#include "recipe/problem_list.h"

namespace distill::recipe::detail {

/// Puts `path.to.key=value` onto the tree, in order, those of `stages` last. The value is YAML (a
/// scalar, or `[...]` / `{...}`); numbers in the path index lists (`loss.0.weight`), and so do the
/// names of mappings that have a `name` (`stages.first.train.steps`); mappings on the way are made.
/// A list that a stage of a pipeline takes from the defaults is copied into it to be changed there.
void apply_overrides(Node& root, std::span<const std::string> overrides, ProblemList& problems);

}  // namespace distill::recipe::detail
