#include <distill/data/data_path.h>

#include <algorithm>
#include <memory>

#include <glob.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>

namespace distill::data {

namespace fs = std::filesystem;

namespace {

std::vector<fs::path> files_of_folder(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& path : core::list_folder(folder)) {
    const bool hidden = path.filename().string().starts_with('.');
    if (!hidden && is_data_name(path) && !core::is_folder(path)) files.push_back(path);
  }
  if (files.empty()) {
    fail<InputError>(core::shown(folder),
                     ": a folder without data, expected .jsonl, .jsonl.gz or .jsonl.zst files in "
                     "it");
  }
  return files;
}

std::vector<fs::path> matches_of(const std::string& pattern) {
  glob_t found{};
  const int status = ::glob(pattern.c_str(), GLOB_ERR | GLOB_NOSORT, nullptr, &found);
  const std::unique_ptr<glob_t, void (*)(glob_t*)> owner(&found, ::globfree);
  if (status == GLOB_NOSPACE) throw std::bad_alloc();
  if (status == GLOB_ABORTED) {
    fail<InputError>(core::shown(pattern), ": a folder of this pattern could not be read");
  }
  std::vector<fs::path> files;
  for (std::size_t i = 0; status == 0 && i < found.gl_pathc; ++i) {
    if (!core::is_folder(found.gl_pathv[i])) files.emplace_back(found.gl_pathv[i]);
  }
  if (files.empty()) fail<InputError>(core::shown(pattern), ": no file matches this pattern");
  return files;
}

}  // namespace

bool is_data_name(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.ends_with(".jsonl") || name.ends_with(".jsonl.gz") || name.ends_with(".jsonl.zst");
}

std::vector<fs::path> expand_data_path(const std::string& path) {
  std::vector<fs::path> files = {path};
  if (path.find('\0') != std::string::npos) {
    fail<InputError>(core::shown(path), ": a path with a NUL byte");
  }
  if (core::is_folder(path)) {
    files = files_of_folder(path);
  } else if (path.find_first_of("*?[") != std::string::npos && !core::path_exists(path)) {
    files = matches_of(path);
  }
  std::ranges::sort(files, {}, [](const fs::path& file) { return file.native(); });
  return files;
}

}  // namespace distill::data
