#include "pipeline/problem_lines.h"

#include <algorithm>

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

}  // namespace distill::pipeline
