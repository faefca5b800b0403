#include <distill/pipeline/run_folder.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/recipe/write.h>

#include "pipeline/folders.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxRecipeBytes = std::uint64_t{4} << 20;

/// What a run writes beside its name first.
constexpr std::array<std::string_view, 16> kWritten = {
    "recipe.yaml",           "manifest.json",
    "teacher.json",          "evaluation_before.json",
    "evaluation_after.json", "sets_before.json",
    "sets_after.json",       "sets_teacher.json",
    "forgetting.json",       "metrics.jsonl",
    "report.json",           "report.html",
    "attempts.json",         "final",
    "lineage.json",          "stopped.json"};

/// What a process that was killed while writing left behind. Only called under the lock, in a
/// folder that is known to be a run's.
void remove_leftovers(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& path : core::list_folder(folder)) {
    if (is_leftover(path, kWritten)) fs::remove_all(path, ignored);
  }
}

bool holds_nothing(const fs::path& folder) {
  for (const auto& path : core::list_folder(folder)) {
    if (path.filename() != ".lock" && !is_leftover(path, kWritten)) return false;
  }
  return true;
}

[[noreturn]] void refuse_other_recipe(const fs::path& file, const std::string& old_text,
                                      const std::string& new_text) {
  std::string message =
      core::concat(file.string(),
                   ": the run in this folder has another recipe; go on with "
                   "that one, choose another `output`, or add --restart to move it aside");
  for (const auto& line : recipe::recipe_differences(old_text, file.string(), new_text)) {
    message += core::concat("\n", file.string(), ": ", line);
  }
  throw ConfigError(message);
}

}  // namespace

RunFolder::RunFolder(fs::path path, const std::string& recipe_text, StartPolicy policy,
                     core::Logger& log, const Rewrite& rewrite)
    : path_(path.has_filename() ? std::move(path) : path.parent_path()) {
  make_folder(path_);
  require_run_or_nothing();  // not even a lock is left in a folder of the user's
  lock_ = std::make_unique<core::FolderLock>(path_);
  if (policy == StartPolicy::kRestart && is_run()) {
    move_aside(path_, log);
    make_folder(path_);
    lock_ = std::make_unique<core::FolderLock>(path_);
  }
  take_over(recipe_text, policy, log, rewrite);
  remove_leftovers(path_);
}

bool RunFolder::is_run() const {
  return recipe_begins_with(path_, kRunMarker);
}

void RunFolder::require_run_or_nothing() const {
  if (is_run() || holds_nothing(path_)) return;
  if (recipe_begins_with(path_, kPipelineMarker)) {
    fail<InputError>(core::shown(path_),
                     ": is the folder of a pipeline, and this recipe has no `stages:`; choose "
                     "another `output`, or move the pipeline's folder");
  }
  fail<InputError>(core::shown(path_),
                   ": holds files that are not of a run (no recipe.yaml that distill_train "
                   "wrote); choose another `output`");
}

void RunFolder::take_over(const std::string& recipe_text, StartPolicy policy, core::Logger& log,
                          const Rewrite& rewrite) {
  require_run_or_nothing();
  const bool begun = core::path_exists(manifest()) || core::path_exists(attempts());
  if (!is_run() || !begun) {
    // Or the run ended before its models and data were read: nothing depends on its recipe yet.
    begin_new(recipe_text, policy);
  } else {
    const std::string stored = core::read_file(recipe(), kMaxRecipeBytes).substr(kRunMarker.size());
    const std::string old_text = stored != recipe_text && rewrite ? rewrite(stored) : stored;
    if (old_text != recipe_text) refuse_other_recipe(recipe(), old_text, recipe_text);
    const bool finished = core::path_exists(report()) && core::path_exists(final_model());
    state_ = finished ? State::kFinished : State::kUnfinished;
    if (finished || stored == recipe_text) return;
    for (const auto& line : recipe::recipe_differences(stored, recipe().string(), recipe_text)) {
      log.info(recipe().string(), ": going on with ", line);
    }
    store_recipe(recipe_text);
  }
}

void RunFolder::begin_new(const std::string& recipe_text, StartPolicy policy) {
  if (policy == StartPolicy::kResume) {
    fail<InputError>(core::shown(path_), ": there is no run to resume; leave out --resume");
  }
  store_recipe(recipe_text);
}

void RunFolder::store_recipe(const std::string& recipe_text) {
  core::write_file_atomically(recipe(), std::string(kRunMarker) + recipe_text);
}

}  // namespace distill::pipeline
