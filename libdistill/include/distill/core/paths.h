#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

/// Questions about paths from outside, asked without raw exceptions of the standard library: a path
/// that cannot be looked at (too long, a loop of links, no permission) is an InputError naming it.
namespace distill::core {

/// Links are followed.
bool path_exists(const std::filesystem::path& path);
bool is_folder(const std::filesystem::path& path);
/// Both are there and are the same file or folder.
bool is_same_path(const std::filesystem::path& a, const std::filesystem::path& b);
/// What lies in a folder, sorted by name.
std::vector<std::filesystem::path> list_folder(const std::filesystem::path& folder);

/// Text for a message: control characters, which could split a line or steer a terminal, become
/// \xNN. The rest, UTF-8 included, stays.
std::string without_controls(std::string_view text);
/// A path for a message; of a very long one the beginning.
std::string shown(const std::filesystem::path& path);

}  // namespace distill::core
