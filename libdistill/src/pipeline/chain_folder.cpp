#include "pipeline/chain_folder.h"

#include <array>
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

/// The first line of the recipe.yaml of a pipeline. Part of the format, do not change.
constexpr std::string_view kMarker = "# resolved recipe of a pipeline, written by distill_train\n";

constexpr std::array<std::string_view, 5> kWritten = {"recipe.yaml", "manifest.json", "report.json",
                                                      "report.html", "final"};

bool is_pipeline(const fs::path& folder) {
  const fs::path recipe = folder / "recipe.yaml";
  return core::path_exists(recipe) && core::MappedFile::open(recipe).text().starts_with(kMarker);
}

bool holds_nothing(const fs::path& folder) {
  for (const auto& path : core::list_folder(folder)) {
    if (path.filename() != ".lock" && !is_leftover(path, kWritten)) return false;
  }
  return true;
}

}  // namespace

ChainFolder::ChainFolder(const fs::path& path, StartPolicy policy, core::Logger& log)
    : path_(path.has_filename() ? path : path.parent_path()) {
  make_folder(path_);
  if (!is_pipeline(path_) && !holds_nothing(path_)) {
    fail<InputError>(core::shown(path_),
                     ": holds files that are not of a pipeline (no recipe.yaml that distill_train "
                     "wrote for one); choose another `output`");
  }
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

void ChainFolder::store_recipe(const std::string& text) const {
  const std::string whole = std::string(kMarker) + text;
  if (core::path_exists(recipe()) && core::read_file(recipe(), kMaxRecipeBytes) == whole) return;
  core::write_file_atomically(recipe(), whole);
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
  return core::read_file(folder / "recipe.yaml", kMaxRecipeBytes).substr(kMarker.size());
}

}  // namespace distill::pipeline
