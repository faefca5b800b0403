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

/// The stage as a further try of it has it, with these overrides of its recipe. Throws ConfigError
/// when they do not fit.
recipe::Stage with_settings(recipe::Stage stage, const std::vector<std::string>& set);

/// In the order of the recipe. `output`: of the pipeline; results of its stages are left out.
std::vector<StageInput> external_inputs(const recipe::Stage& stage,
                                        const std::filesystem::path& output);

/// Those of external_inputs that are not there, a line each with its place in the file.
std::vector<std::string> missing_inputs(const recipe::Stage& stage,
                                        const std::filesystem::path& output);

/// The result of the earlier stage is named in the recipe of the stage, settings of further tries
/// apart.
bool reads_result(recipe::Stage stage, const recipe::Stage& earlier);

/// Calls `take` with every text of a stage's recipe and its dotted path; it may change them.
void for_each_text(recipe::Stage& stage,
                   const std::function<void(const std::string&, std::string&)>& take);

/// What a stage makes its model of, and who teaches, for people; empty: none.
std::string student_of(const recipe::Stage& stage);
std::string teacher_of(const recipe::Stage& stage);

}  // namespace distill::pipeline
