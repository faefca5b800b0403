#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace distill::testing {

/// Writes `lines` with line ends and returns the path as text.
inline std::string write_lines(const std::filesystem::path& path,
                               const std::vector<std::string>& lines) {
  std::ofstream out(path, std::ios::binary);
  for (const auto& line : lines) out << line << '\n';
  return path.string();
}

}  // namespace distill::testing
