#include <distill/io/jsonl.h>

#include <algorithm>

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "io/json_parse.h"

namespace distill::io {

JsonlReader::JsonlReader(const std::filesystem::path& path, const JsonLimits& limits)
    : file_(core::MappedFile::open(path)), limits_(limits) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (file_.text().starts_with(kByteOrderMark)) offset_ = kByteOrderMark.size();
}

std::optional<JsonlReader::Row> JsonlReader::next() {
  const std::string_view rest = file_.text().substr(offset_);
  if (rest.empty()) return std::nullopt;
  ++line_;
  const std::string file = file_.path().string();
  const std::uint64_t most = std::min<std::uint64_t>(limits_.max_bytes, rest.size());
  const std::string_view window = rest.substr(0, std::min<std::uint64_t>(most + 2, rest.size()));
  const std::size_t newline = window.find('\n');
  if (newline == std::string_view::npos && window.size() < rest.size()) {
    const std::size_t end = rest.find('\n', window.size());
    offset_ += end == std::string_view::npos ? rest.size() : end + 1;
    fail<FormatError>(file, ":", line_, ": a line of more than ", limits_.max_bytes,
                      " bytes, which is the limit");
  }
  std::string_view text = window.substr(0, newline);
  offset_ += newline == std::string_view::npos ? text.size() : newline + 1;
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (text.find_first_not_of(" \t\r") == std::string_view::npos) {
    fail<FormatError>(file, ":", line_,
                      ": an empty line, expected one JSON object; remove the line");
  }
  Row row;
  row.line = line_;
  row.source = core::concat(file, ":", line_);
  row.value = detail::parse_json_from_line(text, file, line_, limits_);
  if (!row.value.is_object()) {
    fail<FormatError>(row.source, ": must be a JSON object, it is ", row.value.kind_name());
  }
  return row;
}

}  // namespace distill::io
