#pragma once

#include <filesystem>

namespace distill::models {

/// Copies everything beside config and weights that loaders of the ecosystem look for.
void copy_companions(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace distill::models
