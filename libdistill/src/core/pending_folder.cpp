#include <distill/core/pending_folder.h>

#include <system_error>

#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/files.h>

namespace distill::core {

namespace fs = std::filesystem;

PendingFolder::PendingFolder(const fs::path& target)
    : target_(target.has_filename() ? target : target.parent_path()) {
  if (fs::exists(fs::symlink_status(target_))) {
    fail<InputError>(target_.string(), ": exists already; choose another folder or remove it");
  }
  fs::path name = target_.filename();
  name += concat(".tmp-", ::getpid());
  path_ = target_.parent_path() / name;
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
  rename_durably(path_, target_);
  path_.clear();
}

}  // namespace distill::core
