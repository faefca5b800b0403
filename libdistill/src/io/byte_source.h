#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace distill::io {

/// The bytes of a file, unpacked as they are asked for.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills `out` from its front and returns how many bytes; 0 at the end. Throws FormatError for a
  /// compressed stream that is damaged or cut off.
  virtual std::size_t read(std::span<char> out) = 0;
  /// Bytes of the file itself that were read so far.
  virtual std::uint64_t consumed() const = 0;
  /// At the end: core::hash_file of the file, of the very bytes that were read.
  virtual std::string content_hash() const = 0;
};

/// gzip and zstd are recognised by their first bytes, whatever the name. Memory is bounded: gzip
/// needs a window of 32 KiB, zstd one of at most 128 MiB (frames that ask for more are refused).
/// Throws as core::InputFile, and UnsupportedError naming a known format that is not read.
std::unique_ptr<ByteSource> open_byte_source(const std::filesystem::path& path);

}  // namespace distill::io
