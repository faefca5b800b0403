#include <distill/io/jsonl.h>

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "io/json_parse.h"

namespace distill::io {

JsonlRow parse_jsonl_row(const LineReader::Line& line, const std::string& file,
                         const JsonLimits& limits) {
  if (line.too_long) {
    fail<FormatError>(file, ":", line.number, ": a line of more than ", limits.max_bytes,
                      " bytes, which is the limit");
  }
  if (line.text.find_first_not_of(" \t\r") == std::string_view::npos) {
    fail<FormatError>(file, ":", line.number,
                      ": an empty line, expected one JSON object; remove the line");
  }
  JsonlRow row;
  row.line = line.number;
  row.source = core::concat(file, ":", line.number);
  row.value = detail::parse_json_from_line(line.text, file, line.number, limits);
  if (!row.value.is_object()) {
    fail<FormatError>(row.source, ": must be a JSON object, it is ", row.value.kind_name());
  }
  return row;
}

JsonlReader::JsonlReader(const std::filesystem::path& path, const JsonLimits& limits)
    : file_(path.string()), limits_(limits), lines_(path, limits.max_bytes) {}

std::optional<JsonlReader::Row> JsonlReader::next() {
  const auto line = lines_.next();
  if (!line) return std::nullopt;
  return parse_jsonl_row(*line, file_, limits_);
}

}  // namespace distill::io
