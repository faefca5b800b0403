#include "pipeline/chain_folder.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <system_error>

#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>

#include "pipeline/folders.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxRecipeBytes = std::uint64_t{4} << 20;

constexpr std::array<std::string_view, 6> kWritten = {
    "recipe.yaml", "manifest.json", "report.json", "stopped.json", "report.html", "final"};

/// Beside what a run folder looks after itself.
constexpr std::array<std::string_view, 1> kWrittenInStages = {"lineage.json"};

bool is_pipeline(const fs::path& folder) {
  return recipe_begins_with(folder, kPipelineMarker);
}

bool holds_nothing(const fs::path& folder) {
  for (const auto& path : core::list_folder(folder)) {
    if (path.filename() != ".lock" && !is_leftover(path, kWritten)) return false;
  }
  return true;
}

/// The head of a cache waits beside it under a name of mkstemp's (capture_recipe.cpp).
bool is_waiting_head(const fs::path& path) {
  constexpr std::string_view kBegin = "cache.head.tmp-";
  const std::string name = path.filename().string();
  return name.starts_with(kBegin) && name.size() == kBegin.size() + 6 &&
         std::all_of(name.begin() + kBegin.size(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0; });
}

}  // namespace

void require_pipeline_or_nothing(const fs::path& folder) {
  if (!core::is_folder(folder) || is_pipeline(folder)) return;
  if (recipe_begins_with(folder, kRunMarker)) {
    fail<InputError>(core::shown(folder),
                     ": is the folder of a single run, and this recipe has `stages:`; choose "
                     "another `output`, or move the run's folder");
  }
  if (holds_nothing(folder)) return;
  fail<InputError>(core::shown(folder),
                   ": holds files that are not of a pipeline (no recipe.yaml that distill_train "
                   "wrote for one); choose another `output`");
}

ChainFolder::ChainFolder(const fs::path& path, StartPolicy policy, core::Logger& log)
    : path_(path.has_filename() ? path : path.parent_path()) {
  make_folder(path_);
  require_pipeline_or_nothing(path_);
  lock_ = std::make_unique<core::FolderLock>(path_);
  if (policy == StartPolicy::kRestart && is_pipeline(path_)) {
    move_aside(path_, log);
    make_folder(path_);
    lock_ = std::make_unique<core::FolderLock>(path_);
  }
  if (policy == StartPolicy::kResume && !is_pipeline(path_)) {
    fail<InputError>(core::shown(path_), ": there is no run to resume; leave out --resume");
  }
  std::error_code ignored;
  for (const auto& entry : core::list_folder(path_)) {
    if (is_leftover(entry, kWritten)) fs::remove_all(entry, ignored);
  }
}

void ChainFolder::remove_leftovers(const fs::path& stage) const {
  if (!core::is_folder(stage)) return;
  std::error_code ignored;
  for (const auto& entry : core::list_folder(stage)) {
    if (is_leftover(entry, kWrittenInStages) || is_waiting_head(entry)) fs::remove(entry, ignored);
  }
}

void ChainFolder::store_recipe(const std::string& text) const {
  const std::string whole = std::string(kPipelineMarker) + text;
  if (core::path_exists(recipe()) && core::read_file(recipe(), kMaxRecipeBytes) == whole) return;
  core::write_file_atomically(recipe(), whole);
}

void ChainFolder::remove_stopped_report() const {
  if (!core::path_exists(stopped_report())) return;
  for (const fs::path& path : {path_ / "report.html", stopped_report()}) {
    std::error_code error;
    fs::remove(path, error);
    if (error) fail<IoError>(core::shown(path), ": could not remove it: ", error.message());
  }
}

void ChainFolder::link_final(const fs::path& result) const {
  const fs::path target = result.lexically_relative(path_);
  std::error_code error;
  if (fs::is_symlink(final_model(), error) && fs::read_symlink(final_model(), error) == target) {
    return;
  }
  fs::path temporary = final_model();
  temporary += core::concat(".tmp-", ::getpid());
  fs::remove(temporary, error);
  fs::create_directory_symlink(target, temporary, error);
  if (error) {
    fail<IoError>(core::shown(final_model()), ": could not make the link: ", error.message());
  }
  fs::rename(temporary, final_model(), error);
  if (error) {
    fail<IoError>(core::shown(final_model()), ": could not put the link there: ", error.message());
  }
  core::sync_folder(path_);
}

std::string stored_pipeline(const fs::path& folder) {
  if (!core::path_exists(folder / "recipe.yaml") || !is_pipeline(folder)) return "";
  return core::read_file(folder / "recipe.yaml", kMaxRecipeBytes).substr(kPipelineMarker.size());
}

}  // namespace distill::pipeline
