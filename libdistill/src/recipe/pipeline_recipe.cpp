#include <distill/recipe/pipeline_recipe.h>

#include <algorithm>

namespace distill::recipe {

std::string_view name_of(StageKind kind) {
  return choice_names(kind)[static_cast<std::size_t>(kind)];
}

StageResult Stage::result() const {
  switch (kind) {
    case StageKind::kTrain:
      return run().student.lora ? StageResult::kAdapter : StageResult::kModel;
    case StageKind::kCache:
      return StageResult::kCache;
    case StageKind::kGenerate:
      return StageResult::kRows;
    case StageKind::kMerge:
      return StageResult::kModel;
    case StageKind::kEvaluate:
      break;
  }
  return StageResult::kNothing;
}

std::filesystem::path Stage::output() const {
  return output_path(folder, kind);
}

// Part of the format of a pipeline's folder, do not change.
std::filesystem::path output_path(const std::filesystem::path& folder, StageKind kind) {
  switch (kind) {
    case StageKind::kTrain:
    case StageKind::kMerge:
      return folder / "final";
    case StageKind::kCache:
      return folder / "cache";
    case StageKind::kGenerate:
      return folder / "data.jsonl";
    case StageKind::kEvaluate:
      break;
  }
  return {};
}

const Stage* PipelineRecipe::final_stage() const {
  const auto makes_model = [](const Stage& stage) {
    return stage.result() == StageResult::kModel || stage.result() == StageResult::kAdapter;
  };
  const auto found = std::find_if(stages.rbegin(), stages.rend(), makes_model);
  return found == stages.rend() ? nullptr : &*found;
}

}  // namespace distill::recipe
