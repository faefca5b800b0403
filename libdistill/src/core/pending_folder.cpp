#include <distill/core/pending_folder.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/files.h>

namespace distill::core {

namespace fs = std::filesystem;

PendingFolder::PendingFolder(const fs::path& target, Existing existing)
    : target_(target.has_filename() ? target : target.parent_path()) {
  const fs::file_status status = fs::symlink_status(target_);
  if (fs::exists(status) && existing == Existing::kRefuse) {
    fail<InputError>(target_.string(), ": exists already; choose another folder or remove it");
  }
  if (fs::exists(status) && !fs::is_directory(status)) {
    fail<InputError>(target_.string(), ": is no folder, only a folder is replaced");
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
  if (!fs::exists(fs::symlink_status(target_))) {
    rename_durably(path_, target_);
    path_.clear();
    return;
  }
  // Both names change hands at once; the old folder is removed under the temporary name.
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) != 0) {
    const std::string why = std::strerror(errno);
    fail<IoError>(target_.string(), ": could not be replaced at once: ", why,
                  "; remove it, then do the same again");
  }
  const fs::path parent = target_.parent_path();
  sync_folder(parent.empty() ? fs::path(".") : parent);
}

}  // namespace distill::core
