#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <distill/recipe/generate_recipe.h>
#include <distill/recipe/recipe.h>
#include <distill/recipe/source_map.h>

namespace distill::recipe {

/// What a stage of a pipeline does.
enum class StageKind { kTrain, kCache, kGenerate, kMerge, kEvaluate };
constexpr std::array<std::string_view, 5> choice_names(StageKind) {
  return {"train", "cache", "generate", "merge", "evaluate"};
}
std::string_view name_of(StageKind kind);

/// What a stage leaves for later ones.
enum class StageResult { kModel, kAdapter, kCache, kRows, kNothing };

/// Where a stage in `folder` leaves its result; empty: it leaves none.
std::filesystem::path output_path(const std::filesystem::path& folder, StageKind kind);

struct Stage {
  std::string name;
  StageKind kind = StageKind::kTrain;
  /// A Recipe for train, cache and evaluate. Every path in it is resolved.
  std::variant<Recipe, GenerateRecipe, MergeRecipe> recipe;
  std::filesystem::path folder;         ///< OUTPUT/stages/NAME
  std::vector<std::size_t> needs = {};  ///< earlier stages whose results it reads, ascending
  SourceMap source = {};
  bool is_good = true;  ///< false: something in it is wrong, and may not be what was meant

  const Recipe& run() const { return std::get<Recipe>(recipe); }
  StageResult result() const;
  /// What `${stages.NAME.output}` stands for; empty: it leaves nothing.
  std::filesystem::path output() const;
};

/// A file with `stages:`. Stages are in the order they run in, which is that of the file.
struct PipelineRecipe {
  std::string name;
  std::string output;  ///< folder
  std::vector<Stage> stages;
  SourceMap source = {};
  /// What is wrong with stages, a line each: of read_for_plan; everything else throws it.
  std::vector<std::string> problems = {};

  /// The stage whose model or adapter is what the pipeline comes to; null: none makes one.
  const Stage* final_stage() const;
};

}  // namespace distill::recipe
