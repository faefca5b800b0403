#include "pipeline/run_stage.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/lora/export_model.h>
#include <distill/pipeline/capture.h>

#include "pipeline/evaluate_run.h"
#include "pipeline/folders.h"
#include "pipeline/generate_stage.h"
#include "pipeline/tokenizing_progress.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

using recipe::StageKind;

void run_capture(const recipe::Recipe& recipe, const RunOptions& options, core::Logger& log) {
  CaptureOptions capture;
  capture.token_cache = options.cache_folder;
  capture.available_memory = options.available_memory;
  capture.stop = options.stop;
  capture.progress = bar_options("", options, log);
  capture.progress.whole_eta = options.whole_eta;
  capture_recipe(recipe, capture, log);
}

/// Begins anew each time: it takes little longer than to look at what is there.
void run_merge(const recipe::Stage& stage, const RunOptions& options, core::Logger& log) {
  std::error_code error;
  fs::remove_all(stage.folder, error);
  if (error) {
    fail<IoError>(stage.folder.string(), ": could not remove it: ", error.message());
  }
  make_folder(stage.folder);
  lora::ExportOptions how = merge_options(std::get<recipe::MergeRecipe>(stage.recipe));
  how.out = stage.output();
  how.available_memory = options.available_memory;
  lora::export_model(how, log);
}

}  // namespace

lora::ExportOptions merge_options(const recipe::MergeRecipe& recipe) {
  lora::ExportOptions how;
  how.model = recipe.model;
  how.adapter = {.folder = recipe.adapter};
  if (recipe.dtype == recipe::MergeDtype::kFp32) how.dtype = c10::ScalarType::Float;
  if (recipe.dtype == recipe::MergeDtype::kBf16) how.dtype = c10::ScalarType::BFloat16;
  return how;
}

std::optional<Report> run_stage(const recipe::Stage& stage, const RunOptions& options,
                                core::Logger& log) {
  if (stage.kind == StageKind::kTrain) return run_recipe(stage.run(), options, log).report;
  if (stage.kind == StageKind::kEvaluate) return evaluate_recipe(stage.run(), options, log);
  make_folder(stage.folder);
  switch (stage.kind) {
    case StageKind::kCache:
      run_capture(stage.run(), options, log);
      break;
    case StageKind::kGenerate:
      run_generate(stage, options, log);
      break;
    case StageKind::kMerge:
      run_merge(stage, options, log);
      break;
    case StageKind::kTrain:
    case StageKind::kEvaluate:
      break;
  }
  return std::nullopt;
}

namespace {

/// Of a checkpoint's name, `step_00000200`; 0 of another.
std::int64_t step_of(std::string_view name) {
  constexpr std::string_view kBegin = "step_";
  std::int64_t step = 0;
  if (!name.starts_with(kBegin)) return 0;
  const auto end = std::from_chars(name.data() + kBegin.size(), name.data() + name.size(), step);
  return end.ec == std::errc() && end.ptr == name.data() + name.size() ? step : 0;
}

}  // namespace

double share_done(const recipe::Stage& stage, std::int64_t steps) {
  const fs::path checkpoints = stage.folder / "checkpoints";
  if (stage.kind != StageKind::kTrain || steps <= 0 || !core::is_folder(checkpoints)) return 0;
  std::int64_t newest = 0;
  for (const fs::path& path : core::list_folder(checkpoints)) {
    newest = std::max(newest, step_of(path.filename().string()));
  }
  return std::min(1.0, static_cast<double>(newest) / static_cast<double>(steps));
}

std::vector<fs::path> result_files(const recipe::Stage& stage) {
  switch (stage.result()) {
    case recipe::StageResult::kModel:
    case recipe::StageResult::kAdapter: {
      std::vector<fs::path> files;
      for (const auto& path : core::list_folder(stage.output())) files.push_back(path);
      return files;
    }
    case recipe::StageResult::kCache:  // its description has a hash of all
      return {stage.output() / "cache.json"};
    case recipe::StageResult::kRows:
      return {stage.output()};
    case recipe::StageResult::kNothing:
      break;
  }
  return {stage.folder / "report.json"};
}

}  // namespace distill::pipeline
