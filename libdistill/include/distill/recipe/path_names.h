#pragma once

#include <filesystem>

namespace distill::recipe {

/// A path as it is from the root, without `.`, `..` and the like. Only its name is looked at: links
/// are not followed, and nothing need be there. Empty for an empty one.
std::filesystem::path whole_path(const std::filesystem::path& path);

/// `path` is `folder`, or lies in it, by their names, however both are spelled.
bool is_within(const std::filesystem::path& path, const std::filesystem::path& folder);

}  // namespace distill::recipe
