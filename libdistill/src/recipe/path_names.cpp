#include <distill/recipe/path_names.h>

#include <algorithm>
#include <system_error>

namespace distill::recipe {

namespace fs = std::filesystem;

fs::path whole_path(const fs::path& path) {
  if (path.empty()) return path;
  std::error_code error;
  fs::path whole = fs::absolute(path, error);
  if (error) whole = path;  // the working folder is gone: as far as can be told
  whole = whole.lexically_normal();
  return whole.has_filename() ? whole : whole.parent_path();
}

bool is_within(const fs::path& path, const fs::path& folder) {
  if (path.empty() || folder.empty()) return false;
  const fs::path inside = whole_path(path);
  const fs::path around = whole_path(folder);
  const auto [a, b] = std::mismatch(around.begin(), around.end(), inside.begin(), inside.end());
  return a == around.end();
}

}  // namespace distill::recipe
