#include <distill/core/files.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>

namespace distill::core {

namespace fs = std::filesystem;

namespace {

std::string system_message(int code) {
  return std::generic_category().message(code);
}

[[noreturn]] void fail_io(const fs::path& path, std::string_view doing, int code) {
  fail<IoError>(shown(path), ": could not ", doing, ": ", system_message(code));
}

/// Closes on every way out.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

void require_regular(const fs::path& path, int descriptor, struct stat& status) {
  if (descriptor < 0) {
    const int code = errno;
    if (code == ENOENT || code == ENOTDIR) fail<InputError>(shown(path), ": no such file");
    if (code == EACCES) fail<InputError>(shown(path), ": no permission to read it");
    if (code == ELOOP || code == ENAMETOOLONG) {
      fail<InputError>(shown(path), ": could not open it: ", system_message(code));
    }
    fail_io(path, "open it", code);
  }
  if (::fstat(descriptor, &status) != 0) fail_io(path, "look at it", errno);
  if (!S_ISREG(status.st_mode)) {
    fail<InputError>(shown(path), ": not a regular file",
                     S_ISDIR(status.st_mode) ? " (a folder)" : "");
  }
}

int open_for_reading(const fs::path& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer. It changes nothing for regular files.
  return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

void write_all(int descriptor, const fs::path& path, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_io(path, "write it", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

}  // namespace

MappedFile MappedFile::open(const fs::path& path) {
  const Descriptor file(open_for_reading(path));
  struct stat status {};
  require_regular(path, file.get(), status);
  MappedFile mapped;
  mapped.path_ = path;
  mapped.size_ = static_cast<std::size_t>(status.st_size);
  if (mapped.size_ == 0) return mapped;
  void* address = ::mmap(nullptr, mapped.size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) fail_io(path, "map it", errno);
  const std::size_t size = mapped.size_;
  mapped.data_ = std::shared_ptr<const std::byte>(
      static_cast<const std::byte*>(address),
      [size](const std::byte* p) { ::munmap(const_cast<std::byte*>(p), size); });
  return mapped;
}

InputFile::InputFile(fs::path path) : path_(std::move(path)) {
  descriptor_ = open_for_reading(path_);
  struct stat status {};
  try {
    require_regular(path_, descriptor_, status);
  } catch (...) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw;
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  ::close(descriptor_);
}

std::size_t InputFile::read(std::span<std::byte> out) {
  while (true) {
    const ssize_t count = ::read(descriptor_, out.data(), out.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) fail_io(path_, "read it", errno);
  }
}

InputFile::Version InputFile::version() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_io(path_, "look at it", errno);
  return {static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec,
          status.st_mtim.tv_nsec};
}

void MappedFile::forget(std::span<const std::byte> part) const {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t first = (begin + page - 1) / page * page;
  const bool to_the_end = part.data() + part.size() == data_.get() + size_;
  const std::uintptr_t last =
      to_the_end ? begin + part.size() : (begin + part.size()) / page * page;
  // Advice only: where it is refused, the pages stay.
  if (first < last) (void)::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

std::string read_file(const fs::path& path, std::uint64_t max_bytes) {
  const MappedFile file = MappedFile::open(path);
  if (file.bytes().size() > max_bytes) {
    fail<InputError>(shown(path), ": ", file.bytes().size(), " bytes, expected at most ",
                     max_bytes);
  }
  return std::string(file.text());
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  // Not the number of the process: on another machine or in another container it may be the same.
  do {
    std::uint64_t number = 0;
    if (::getrandom(&number, sizeof(number), 0) != sizeof(number)) {
      fail_io(path_, "find a temporary name for it", errno);
    }
    temporary_ = path_;
    temporary_ += concat(".tmp-", number);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) fail_io(path_, "create it", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_all(descriptor_, path_, bytes);
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_io(path_, "flush it to disk", errno);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail_io(path_, "close it", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    fail_io(path_, "rename it into place", errno);
  temporary_.clear();
  sync_folder(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void sync_folder(const fs::path& folder) {
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) fail_io(folder, "open the folder", errno);
  if (::fsync(directory.get()) != 0) fail_io(folder, "flush the folder to disk", errno);
}

void rename_durably(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    fail_io(to, concat("rename ", shown(from), " to it"), errno);
  }
  sync_folder(to.has_parent_path() ? to.parent_path() : fs::path("."));
}

AppendFile::AppendFile(const fs::path& path) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_io(path, "open it for appending", errno);
}

AppendFile::~AppendFile() {
  ::close(descriptor_);
}

void AppendFile::append(std::string_view text) {
  write_all(descriptor_, path_, std::as_bytes(std::span(text.data(), text.size())));
}

namespace {

/// An flock on `path`, or nothing when the file was moved away between opening and locking it (a
/// restart renames its folder): such a lock protects nothing.
std::optional<int> try_lock(const fs::path& folder, const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) fail_io(path, "open it", errno);
  struct stat locked {};
  struct stat there {};
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const int code = errno;
    ::close(descriptor);
    if (code != EWOULDBLOCK) fail_io(path, "lock it", code);
    fail<InputError>(shown(folder), ": another process is using this folder; wait for it to end");
  }
  if (::fstat(descriptor, &locked) == 0 && ::stat(path.c_str(), &there) == 0 &&
      locked.st_dev == there.st_dev && locked.st_ino == there.st_ino) {
    return descriptor;
  }
  ::close(descriptor);
  return std::nullopt;
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) {
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i) {
    if (const auto descriptor = try_lock(folder, folder / ".lock")) {
      descriptor_ = *descriptor;
      return;
    }
  }
  fail<InputError>(shown(folder), ": another process keeps moving this folder");
}

FolderLock::~FolderLock() {
  ::close(descriptor_);
}

}  // namespace distill::core
