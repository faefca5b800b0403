#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include <distill/core/files.h>
#include <distill/io/json_value.h>

namespace distill::io {

/// One row of a JSON Lines file.
inline constexpr JsonLimits kJsonlRowLimits{.max_bytes = std::uint64_t{16} << 20,
                                            .max_values = 1'000'000};

/// Reads a JSON Lines file row by row from a mapping. A BOM at the start and CR before LF are
/// accepted; an empty line, or one that is not a JSON object, is a FormatError `FILE:LINE: ...`,
/// after which `next` goes on with the following line.
class JsonlReader {
 public:
  explicit JsonlReader(const std::filesystem::path& path,
                       const JsonLimits& limits = kJsonlRowLimits);

  struct Row {
    JsonValue value;
    std::int64_t line = 0;  ///< from 1
    std::string source;     ///< FILE:LINE, for JsonCursor
  };
  /// The next row, or nothing at the end.
  std::optional<Row> next();

 private:
  core::MappedFile file_;
  JsonLimits limits_;
  std::size_t offset_ = 0;
  std::int64_t line_ = 0;
};

}  // namespace distill::io
