#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <distill/io/json_value.h>
#include <distill/io/line_reader.h>

namespace distill::io {

/// One row of a JSON Lines file.
inline constexpr JsonLimits kJsonlRowLimits{
    .max_bytes = std::uint64_t{16} << 20, .max_values = 1'000'000, .keeps_large_integers = true};

struct JsonlRow {
  JsonValue value;
  std::int64_t line = 0;  ///< from 1
  std::string source;     ///< FILE:LINE, for JsonCursor
};

/// The row in one line of `file`. Throws FormatError `FILE:LINE: ...` or `FILE:LINE:COLUMN: ...`.
JsonlRow parse_jsonl_row(const LineReader::Line& line, const std::string& file,
                         const JsonLimits& limits = kJsonlRowLimits);

/// Reads a JSON Lines file row by row, plain or packed with gzip or zstd. A BOM at the start and CR
/// before LF are accepted; an empty line, or one that is not a JSON object, is a FormatError
/// `FILE:LINE: ...`, after which `next` goes on with the following line.
class JsonlReader {
 public:
  using Row = JsonlRow;

  explicit JsonlReader(const std::filesystem::path& path,
                       const JsonLimits& limits = kJsonlRowLimits);

  /// The next row, or nothing at the end.
  std::optional<Row> next();

 private:
  std::string file_;
  JsonLimits limits_;
  LineReader lines_;
};

}  // namespace distill::io
