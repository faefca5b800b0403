#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <distill/recipe/pipeline_recipe.h>

namespace distill::pipeline {

/// A file or folder that a stage reads and no stage makes.
struct StageInput {
  enum class Kind { kModel, kTokenizer, kCache, kAdapter, kData };
  Kind kind = Kind::kModel;
  std::string key;  ///< dotted path in the stage
  std::filesystem::path path;

  /// All that decides what it is. Throws InputError and its children for what is not there.
  std::vector<std::filesystem::path> files() const;
};

/// In the order of the recipe. `output`: of the pipeline; results of its stages are left out.
std::vector<StageInput> external_inputs(const recipe::Stage& stage,
                                        const std::filesystem::path& output);

/// Calls `take` with every text of a stage's recipe and its dotted path; it may change them.
void for_each_text(recipe::Stage& stage,
                   const std::function<void(const std::string&, std::string&)>& take);

/// `path` is `folder`, or lies in it, by their names.
bool is_within(const std::filesystem::path& path, const std::filesystem::path& folder);

/// What a stage makes its model of, and who teaches, for people; empty: none.
std::string student_of(const recipe::Stage& stage);
std::string teacher_of(const recipe::Stage& stage);

}  // namespace distill::pipeline
