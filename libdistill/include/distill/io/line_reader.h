#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace distill::io {

/// The lines of a text file, plain or packed with gzip or zstd (recognised by their first bytes),
/// read a piece at a time: memory is bounded by the longest line that is allowed, whatever a packed
/// file unpacks to. A byte order mark at the start is left out. One thread at a time.
class LineReader {
 public:
  struct Line {
    std::string_view text;    ///< without LF or CR LF; valid until the next call
    std::int64_t number = 0;  ///< from 1
    bool too_long = false;    ///< `text` is empty: the line was passed over
  };

  /// Throws as core::InputFile, and UnsupportedError for xz, bzip2, zip and Parquet files.
  LineReader(const std::filesystem::path& path, std::uint64_t max_line_bytes);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// The next line, or nothing at the end. Throws FormatError for a packed stream that is damaged
  /// or cut off, IoError.
  std::optional<Line> next();

  /// Bytes of the file itself, packed or not, that were read so far; for progress.
  std::uint64_t consumed() const;

  /// After the last line: core::hash_file of the file, of the very bytes that were read. The file
  /// may have changed before or since.
  std::string content_hash() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace distill::io
