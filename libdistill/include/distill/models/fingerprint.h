#pragma once

#include <filesystem>
#include <string>

namespace distill::models {

/// Tells models apart by their weights: a hash over name, dtype, shape and the first bytes of every
/// tensor, whatever files they are in. Any further training changes it. 32 hex digits. Throws as
/// io::SafetensorsFolder::open does.
std::string fingerprint(const std::filesystem::path& folder);

}  // namespace distill::models
