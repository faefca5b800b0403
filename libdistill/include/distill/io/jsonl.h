#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include <distill/core/files.h>
#include <distill/io/json_value.h>

namespace distill::io {

/// Reads a JSON Lines file row by row from a mapping. A BOM at the start and CR before LF are
/// accepted; an empty line, or one that is not a JSON object, is a FormatError `FILE:LINE: ...`.
class JsonlReader {
 public:
  explicit JsonlReader(const std::filesystem::path& path, const JsonLimits& limits = {});

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
