#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace distill::io {

/// A regular file of which any part may be read, by several threads at once. Nothing is mapped: a
/// file that shrinks meanwhile is an error.
class RandomAccessFile {
 public:
  /// Throws InputError when it is missing or not regular, IoError.
  explicit RandomAccessFile(std::filesystem::path path);
  ~RandomAccessFile();
  RandomAccessFile(RandomAccessFile&& other) noexcept;
  RandomAccessFile& operator=(RandomAccessFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }  ///< when it was opened
  /// Fills `out`. Throws FormatError when the file ends before, IoError.
  void read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace distill::io
