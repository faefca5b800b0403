#include <distill/pipeline/run_folder.h>

#include <cerrno>
#include <system_error>

#include <distill/core/error.h>
#include <distill/recipe/write.h>

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxRecipeBytes = std::uint64_t{4} << 20;

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return;
  // A path that cannot be a folder is the user's to mend; a disk that is full is not bad input.
  const bool disk = error == std::errc::no_space_on_device || error == std::errc::io_error ||
                    error.value() == EDQUOT;
  const auto message =
      core::concat(path.string(), ": could not make the run folder: ", error.message());
  if (disk) throw IoError(message);
  throw InputError(message);
}

bool is_leftover(const fs::path& path) {
  return path.filename().string().find(".tmp-") != std::string::npos;
}

/// What a process that was killed while writing left behind. Only called under the lock.
void remove_leftovers(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_leftover(entry.path())) fs::remove_all(entry.path(), ignored);
  }
}

bool holds_nothing(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename() != ".lock") return false;
  }
  return true;
}

/// Renames to the first free NAME.old-N.
void move_aside(const fs::path& path, core::Logger& log) {
  for (int n = 1;; ++n) {
    fs::path target = path;
    target += core::concat(".old-", n);
    if (fs::exists(fs::symlink_status(target))) continue;
    core::rename_durably(path, target);
    log.info("moved the old run to ", target.string());
    return;
  }
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
                     core::Logger& log)
    : path_(path.has_filename() ? std::move(path) : path.parent_path()) {
  make_folder(path_);
  lock_ = std::make_unique<core::FolderLock>(path_);
  if (policy == StartPolicy::kRestart && fs::exists(recipe())) {
    move_aside(path_, log);
    make_folder(path_);
    lock_ = std::make_unique<core::FolderLock>(path_);
  }
  remove_leftovers(path_);
  take_over(recipe_text, policy);
}

void RunFolder::take_over(const std::string& recipe_text, StartPolicy policy) {
  if (!fs::exists(recipe())) {
    if (!holds_nothing(path_)) {
      fail<InputError>(path_.string(),
                       ": holds files that are not of a run (no recipe.yaml); choose "
                       "another `output`");
    }
    begin_new(recipe_text, policy);
  } else if (!fs::exists(manifest())) {
    // The run ended before its data were read: nothing depends on its recipe yet.
    begin_new(recipe_text, policy);
  } else {
    const std::string old_text = core::read_file(recipe(), kMaxRecipeBytes);
    if (old_text != recipe_text) refuse_other_recipe(recipe(), old_text, recipe_text);
    const bool finished = fs::exists(report()) && fs::exists(final_model());
    state_ = finished ? State::kFinished : State::kUnfinished;
  }
}

void RunFolder::begin_new(const std::string& recipe_text, StartPolicy policy) {
  if (policy == StartPolicy::kResume) {
    fail<InputError>(path_.string(), ": there is no run to resume; leave out --resume");
  }
  core::write_file_atomically(recipe(), recipe_text);
}

}  // namespace distill::pipeline
