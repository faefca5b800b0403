#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <distill/recipe/pipeline_recipe.h>

#include "recipe/node.h"
#include "recipe/problem_list.h"

namespace distill::recipe::detail {

/// A stage as others may refer to it.
struct NamedStage {
  std::string name;
  StageKind kind = StageKind::kTrain;
  std::filesystem::path output;  ///< empty: it leaves nothing
};

/// A value of a stage's recipe that names another stage's result.
struct Reference {
  std::size_t stage = 0;  ///< which
  std::string path;       ///< dotted, in the referring stage
  Place place;
};

/// Which stages each stage mentions.
using Mentions = std::vector<std::vector<std::size_t>>;

/// Puts results in the place of `${stages.NAME.output}` in every text of stage `self`, and collects
/// who is meant, also where a result is named by its path. What means no earlier stage goes to
/// `problems`.
std::vector<Reference> resolve_references(Node& node, std::size_t self,
                                          const std::vector<NamedStage>& stages,
                                          const Mentions& mentions, ProblemList& problems);

/// Which stages a tree mentions by `${stages.NAME.output}`, whether or not that makes sense.
std::vector<std::size_t> mentioned_stages(const Node& node, const std::vector<NamedStage>& stages);

}  // namespace distill::recipe::detail
