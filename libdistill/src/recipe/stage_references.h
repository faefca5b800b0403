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
  std::string key;        ///< dotted, of what is set, in the referring stage or a try of it
  std::string path;       ///< dotted, of where it stands: `key`, or a setting of a gate
  Place place;
};

/// Which stages each stage mentions.
using Mentions = std::vector<std::vector<std::size_t>>;

/// What a pipeline's stages are called, and where they lie.
struct StageNames {
  const std::vector<NamedStage>& stages;
  const Mentions& mentions;
  const std::filesystem::path& folders;  ///< OUTPUT/stages
};

/// Puts results in the place of `${stages.NAME.output}` in every text of stage `self`, those of
/// further tries included, and collects who is meant. A path to a result counts as well, and is
/// spelled as the result's then. What means no earlier stage, and any other path into the folders
/// of stages, goes to `problems`; a value with a bad `${...}` is kInvalid then.
std::vector<Reference> resolve_references(Node& node, std::size_t self, const StageNames& names,
                                          ProblemList& problems);

/// Which stages a tree mentions by `${stages.NAME.output}`, whether or not that makes sense.
std::vector<std::size_t> mentioned_stages(const Node& node, const std::vector<NamedStage>& stages);

}  // namespace distill::recipe::detail
