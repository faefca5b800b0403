#include <distill/core/pending_folder.h>

#include <system_error>

#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/files.h>

namespace distill::core {

namespace fs = std::filesystem;

namespace {

/// Beside the target, of this process.
fs::path neighbour(const fs::path& target, const char* what) {
  fs::path name = target.filename();
  name += concat(what, ::getpid());
  return target.parent_path() / name;
}

}  // namespace

PendingFolder::PendingFolder(const fs::path& target, Existing existing)
    : target_(target.has_filename() ? target : target.parent_path()) {
  const fs::file_status status = fs::symlink_status(target_);
  if (fs::exists(status) && existing == Existing::kRefuse) {
    fail<InputError>(target_.string(), ": exists already; choose another folder or remove it");
  }
  if (fs::exists(status) && !fs::is_directory(status)) {
    fail<InputError>(target_.string(), ": is no folder, only a folder is replaced");
  }
  path_ = neighbour(target_, ".tmp-");
  std::error_code error;
  fs::remove_all(path_, error);
  if (!fs::create_directory(path_, error)) {
    fail<IoError>(path_.string(), ": could not create the folder: ", error.message());
  }
}

PendingFolder::~PendingFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

void PendingFolder::publish() {
  sync_folder(path_);
  const fs::path old = neighbour(target_, ".old-");
  const bool replaces = fs::exists(fs::symlink_status(target_));
  if (replaces) rename_durably(target_, old);
  rename_durably(path_, target_);
  path_.clear();
  std::error_code ignored;
  if (replaces) fs::remove_all(old, ignored);
}

}  // namespace distill::core
