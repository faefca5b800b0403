#include "pipeline/folders.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>

namespace distill::pipeline {

namespace fs = std::filesystem;

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return;
  // A path that cannot be a folder is the user's to mend; a disk that is full is not bad input.
  const bool disk = error == std::errc::no_space_on_device || error == std::errc::io_error ||
                    error.value() == EDQUOT;
  const auto message =
      core::concat(core::shown(path), ": could not make the run folder: ", error.message());
  if (disk) throw IoError(message);
  throw InputError(message);
}

void move_aside(const fs::path& path, core::Logger& log) {
  for (int n = 1;; ++n) {
    fs::path target = path;
    target += core::concat(".old-", n);
    std::error_code ignored;
    if (fs::exists(fs::symlink_status(target, ignored))) continue;
    core::rename_durably(path, target);
    log.info("moved the old one to ", target.string());
    return;
  }
}

bool recipe_begins_with(const fs::path& folder, std::string_view marker) {
  const fs::path recipe = folder / "recipe.yaml";
  return core::path_exists(recipe) && core::MappedFile::open(recipe).text().starts_with(marker);
}

bool is_leftover(const fs::path& path, std::span<const std::string_view> names) {
  constexpr std::string_view kInfix = ".tmp-";
  const std::string name = path.filename().string();
  const std::size_t infix = name.find(kInfix);
  if (infix == std::string::npos) return false;
  const std::string_view number = std::string_view(name).substr(infix + kInfix.size());
  return std::ranges::find(names, std::string_view(name).substr(0, infix)) != names.end() &&
         !number.empty() && number.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace distill::pipeline
