#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace distill::core {

/// A whole regular file mapped read-only. Copies share the mapping; it ends with the last of them.
/// The file must not shrink while it is mapped.
class MappedFile {
 public:
  /// Opens without blocking and refuses anything but a regular file (a device, FIFO or directory).
  /// Throws InputError when the file is missing or not regular, IoError when the system refuses.
  static MappedFile open(const std::filesystem::path& path);

  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_.get()), size_}; }
  const std::filesystem::path& path() const { return path_; }
  /// Lets the pages that lie wholly inside `part` leave the process's memory: what was read of a
  /// large file would count as used otherwise. They come back when they are read again.
  void forget(std::span<const std::byte> part) const;
  /// Shared ownership of the mapping, for tensors that alias it.
  std::shared_ptr<const std::byte> owner() const { return data_; }

 private:
  std::filesystem::path path_;
  std::shared_ptr<const std::byte> data_;
  std::size_t size_ = 0;
};

/// A regular file read from its beginning to its end, without a mapping: the file may change or
/// shrink meanwhile, and memory does not grow with it.
class InputFile {
 public:
  /// Opens without blocking and refuses anything but a regular file, as MappedFile does.
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// Reads up to `out.size()` bytes and returns how many; 0 at the end. Throws IoError.
  std::size_t read(std::span<std::byte> out);
  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }  ///< when it was opened
  /// What changes with the content: size and time of the last change of the opened file, now.
  struct Version {
    std::uint64_t size = 0;
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
    bool operator==(const Version&) const = default;
  };
  Version version() const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// The content of a regular file of at most `max_bytes`. Throws InputError / IoError as above.
std::string read_file(const std::filesystem::path& path, std::uint64_t max_bytes);

/// A file that appears whole or not at all: bytes go to a name of its own in the same folder,
/// `NAME.tmp-N` with a random number N; `commit` flushes them to disk and renames. Without `commit`
/// the destructor removes the temporary file, and what was there before stays. Of several writers
/// of one file, also in other processes or on other machines, the last one to commit wins.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Throws IoError (disk full, quota) naming the file.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// fsync, rename, fsync of the folder. A failed fsync is never retried: the file is given up.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// AtomicFile in one call.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// Makes a rename or a new name in `folder` durable.
void sync_folder(const std::filesystem::path& folder);

/// Renames and makes it durable. `to` must not exist, or be an empty folder.
void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to);

/// Opens for appending; each `append` is one write call, so that a line is never half there
/// unless the disk is full.
class AppendFile {
 public:
  explicit AppendFile(const std::filesystem::path& path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  void append(std::string_view text);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// Held while a process owns a folder: an flock on `folder/.lock`. Released when the process ends,
/// however it ends.
class FolderLock {
 public:
  /// Throws InputError when another process holds it.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace distill::core
