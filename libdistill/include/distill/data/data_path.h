#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace distill::data {

/// `.jsonl`, `.jsonl.gz` or `.jsonl.zst`.
bool is_data_name(const std::filesystem::path& path);

/// The files that one `path` of a recipe names, in the order of their names' bytes: a file itself;
/// of a folder those with a data name (not of its sub-folders, none that begins with a dot); of a
/// pattern with `*`, `?` or `[...]` the files that match. Throws InputError when it names nothing.
std::vector<std::filesystem::path> expand_data_path(const std::string& path);

}  // namespace distill::data
