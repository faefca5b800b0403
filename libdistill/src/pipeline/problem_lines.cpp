#include "pipeline/problem_lines.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include <distill/core/strings.h>

namespace distill::pipeline {

using core::concat;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::string located(const recipe::SourceMap& source, const std::string& line) {
  const auto colon = line.find(": ");
  if (colon != std::string::npos) {
    const std::string key = line.substr(0, colon);
    const bool is_key =
        key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.") == std::string::npos &&
        source.places.contains(key.substr(0, key.find('.')));
    if (is_key) return source.where(key) + line.substr(colon);
  }
  if (!source.prefix.empty()) return concat(source.where(""), ": ", line);
  return source.file.empty() ? line : concat(source.file, ": ", line);
}

namespace {

/// N of `FILE:N: ...`; 0: it does not begin so.
std::int64_t line_number(const std::string& problem) {
  const std::string place = problem.substr(0, problem.find(": "));
  const std::size_t colon = place.rfind(':');
  if (colon == std::string::npos) return 0;
  std::int64_t number = 0;
  const char* const end = place.data() + place.size();
  const auto read = std::from_chars(place.data() + colon + 1, end, number);
  return read.ec == std::errc() && read.ptr == end ? number : 0;
}

}  // namespace

void sort_by_line(std::vector<std::string>& problems) {
  std::ranges::stable_sort(problems, {}, line_number);
}

}  // namespace distill::pipeline
