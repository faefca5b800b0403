#pragma once

#include <filesystem>
#include <string>

namespace distill::models {

/// Tells models apart by their weights: a hash over name, dtype, shape and 4 KiB of the beginning,
/// middle and end of every tensor, whatever files they are in. Quick, and changed by any ordinary
/// training; config.json is not in it. 32 hex digits. Throws as
/// io::SafetensorsFolder::open does.
std::string fingerprint(const std::filesystem::path& folder);

}  // namespace distill::models
