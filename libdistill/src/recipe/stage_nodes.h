#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <distill/recipe/pipeline_recipe.h>

#include "recipe/node.h"
#include "recipe/problem_list.h"

namespace distill::recipe::detail {

/// The keys of a described struct, in order.
std::vector<std::string> keys_of(const core::StructRef& fields);

/// Makes of a stage with its defaults what the struct of its kind is read from: `kind` goes, its
/// folder comes, what a kind does not need gets harmless values. `own`: what the stage itself says;
/// there, keys without an effect are problems under `path`.
void complete_stage(Node& stage, const Node& own, StageKind kind,
                    const std::filesystem::path& folder, const std::string& path,
                    ProblemList& problems);

}  // namespace distill::recipe::detail
