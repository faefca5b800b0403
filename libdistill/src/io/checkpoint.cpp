#include <distill/io/checkpoint.h>

#include <algorithm>
#include <charconv>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/strings.h>

#include "io/checkpoint_manifest.h"

namespace distill::io {

namespace fs = std::filesystem;

namespace {

/// Part of the run-folder format, do not change.
constexpr std::string_view kPrefix = "step_";
constexpr std::size_t kDigits = 8;
/// Hidden names: being written, being deleted, and set aside while the same step is replaced.
constexpr std::string_view kWriting = ".tmp-";
constexpr std::string_view kDeleting = ".tmp-delete-";
constexpr std::string_view kReplaced = ".old-";

std::string step_name(std::int64_t step) {
  const std::string digits = std::to_string(step);
  return std::string(kPrefix) + std::string(kDigits - std::min(kDigits, digits.size()), '0') +
         digits;
}

/// The step of a name that `step_name` makes, and of no other.
std::optional<std::int64_t> parse_step(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::string_view digits = name.substr(kPrefix.size());
  std::int64_t step = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (code != std::errc() || step < 0 || step_name(step) != name) return std::nullopt;
  return step;
}

void remove_tree(const fs::path& path) {
  std::error_code code;
  fs::remove_all(path, code);
  if (code) fail<IoError>(path.string(), ": could not remove it: ", code.message());
}

/// Names of the folders in `root`.
std::vector<std::string> folder_names(const fs::path& root) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator item(root, code), end; !code && item != end; item.increment(code)) {
    std::error_code ignored;
    if (item->is_directory(ignored)) names.push_back(item->path().filename().string());
  }
  if (code) fail<IoError>(root.string(), ": could not list the folder: ", code.message());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::int64_t> steps_in(const fs::path& root) {
  std::vector<std::int64_t> steps;
  for (const std::string& name : folder_names(root)) {
    if (const auto step = parse_step(name)) steps.push_back(*step);
  }
  return steps;
}

void make_folders(const fs::path& folder) {
  std::error_code code;
  if (fs::is_directory(folder, code)) return;
  const fs::path parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  if (parent != folder) make_folders(parent);
  fs::create_directory(folder, code);
  if (code) fail<IoError>(folder.string(), ": could not make the folder: ", code.message());
  core::sync_folder(parent);
}

/// Removes the folder unless told to keep it.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(fs::path path) : path_(std::move(path)) { make_folders(path_); }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }
  void release() { path_.clear(); }

 private:
  fs::path path_;
};

/// Gives the folder its final name. A checkpoint of that name is set aside first; if we are killed
/// in between, the next start puts it back.
void rename_into_place(const fs::path& from, const fs::path& to, const fs::path& aside) {
  std::error_code ignored;
  const bool replaces = fs::exists(to, ignored);
  if (replaces) core::rename_durably(to, aside);
  try {
    core::rename_durably(from, to);
  } catch (...) {
    if (replaces) fs::rename(aside, to, ignored);
    throw;
  }
  if (replaces) remove_tree(aside);
}

}  // namespace

CheckpointStore::CheckpointStore(fs::path root) : root_(std::move(root)) {
  root_ = root_.lexically_normal();
  if (!root_.has_filename()) root_ = root_.parent_path();
  make_folders(root_);
  remove_leftovers();
}

void CheckpointStore::remove_leftovers() const {
  for (const std::string& name : folder_names(root_)) {
    const auto rest_after = [&](std::string_view prefix) -> std::optional<std::string> {
      if (!name.starts_with(prefix) || !parse_step(std::string_view(name).substr(prefix.size()))) {
        return std::nullopt;
      }
      return name.substr(prefix.size());
    };
    if (rest_after(kWriting) || rest_after(kDeleting)) {
      remove_tree(root_ / name);
    } else if (const auto replaced = rest_after(kReplaced)) {
      std::error_code ignored;
      if (fs::exists(root_ / *replaced, ignored)) {
        remove_tree(root_ / name);
      } else {
        core::rename_durably(root_ / name, root_ / *replaced);
      }
    }
  }
}

void CheckpointStore::save(std::int64_t step, std::int64_t keep,
                           const std::function<void(const fs::path&)>& write) {
  if (step < 0) fail<InputError>(root_.string(), ": step ", step, " must not be negative");
  if (keep < 1) fail<InputError>(root_.string(), ": keep is ", keep, ", expected at least 1");
  remove_leftovers();
  const std::string name = step_name(step);
  TemporaryFolder temporary(root_ / core::concat(kWriting, name));
  write(temporary.path());
  detail::seal_checkpoint(temporary.path(), step);
  rename_into_place(temporary.path(), root_ / name, root_ / core::concat(kReplaced, name));
  temporary.release();
  remove_oldest(step, keep);
}

void CheckpointStore::remove_oldest(std::int64_t newest, std::int64_t keep) const {
  std::vector<std::int64_t> steps;
  for (const std::int64_t step : steps_in(root_)) {
    // A folder without a manifest is not one of ours: it is neither counted nor deleted.
    std::error_code ignored;
    if (fs::exists(root_ / step_name(step) / detail::kManifestName, ignored)) steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end(), [newest](std::int64_t a, std::int64_t b) {
    const bool a_beyond = a > newest;
    const bool b_beyond = b > newest;
    return a_beyond != b_beyond ? b_beyond : a > b;
  });
  for (std::size_t i = static_cast<std::size_t>(keep); i < steps.size(); ++i) {
    // Renamed first: a kill in the middle of deleting leaves nothing half under a real name.
    const std::string name = step_name(steps[i]);
    const fs::path doomed = root_ / core::concat(kDeleting, name);
    core::rename_durably(root_ / name, doomed);
    remove_tree(doomed);
  }
}

std::optional<CheckpointStore::Found> CheckpointStore::newest(core::Logger& log) const {
  std::vector<std::int64_t> steps = steps_in(root_);
  std::sort(steps.rbegin(), steps.rend());
  for (const std::int64_t step : steps) {
    const fs::path folder = root_ / step_name(step);
    try {
      detail::verify_checkpoint(folder, step);
      return Found{step, folder};
    } catch (const Error& error) {
      log.warning("checkpoint ", step_name(step), " is skipped: ", error.what());
    }
  }
  return std::nullopt;
}

void CheckpointStore::verify(const fs::path& folder) {
  const fs::path name = folder.has_filename() ? folder.filename() : folder.parent_path().filename();
  const auto step = parse_step(name.string());
  if (!step) {
    fail<InputError>(folder.string(),
                     ": not the name of a checkpoint, expected one like step_00000200");
  }
  detail::verify_checkpoint(folder, *step);
}

}  // namespace distill::io
