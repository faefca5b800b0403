#include "data/cache_lock.h"

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>

namespace distill::data {

namespace {

/// The builder before removes its lock file: a lock on a removed file protects nothing.
bool is_still_there(int descriptor, const std::filesystem::path& path) {
  struct stat locked {};
  struct stat there {};
  return ::fstat(descriptor, &locked) == 0 && ::stat(path.c_str(), &there) == 0 &&
         locked.st_dev == there.st_dev && locked.st_ino == there.st_ino;
}

}  // namespace

CacheLock::CacheLock(const std::filesystem::path& path, const std::function<void()>& waiting)
    : path_(path) {
  while (true) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) {
      fail<IoError>(core::shown(path),
                    ": could not create it: ", std::generic_category().message(errno));
    }
    const int status = ::flock(descriptor, LOCK_EX | LOCK_NB);
    const bool taken = status != 0 && errno == EWOULDBLOCK;
    if (status != 0 && !taken) {  // no locks on this file system
      ::unlink(path.c_str());
      ::close(descriptor);
      return;
    }
    if (!taken && is_still_there(descriptor, path)) {
      descriptor_ = descriptor;
      return;
    }
    ::close(descriptor);
    if (!taken) continue;
    if (waiting) waiting();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

CacheLock::~CacheLock() {
  if (descriptor_ < 0) return;
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

}  // namespace distill::data
