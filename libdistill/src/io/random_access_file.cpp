#include "io/random_access_file.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>

namespace distill::io {

RandomAccessFile::RandomAccessFile(std::filesystem::path path) : path_(std::move(path)) {
  // Without blocking: a FIFO would wait for a writer.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) {
    const std::string why = std::generic_category().message(errno);
    if (errno == ENOENT) fail<InputError>(core::shown(path_), ": no such file");
    fail<IoError>(core::shown(path_), ": could not open it: ", why);
  }
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    fail<InputError>(core::shown(path_), ": not a regular file");
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

RandomAccessFile::~RandomAccessFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

RandomAccessFile::RandomAccessFile(RandomAccessFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

void RandomAccessFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t count = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0) {
      if (errno == EINTR) continue;
      fail<IoError>(core::shown(path_),
                    ": could not read it: ", std::generic_category().message(errno));
    }
    if (count == 0)
      fail<FormatError>(core::shown(path_), ": ends at byte ", offset, ", is cut off");
    out = out.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

}  // namespace distill::io
