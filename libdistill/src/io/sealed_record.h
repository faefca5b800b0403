#pragma once

#include <filesystem>
#include <string>

namespace distill::io {

/// A record of one line and the hash of its text behind it, so that any damage is seen.
std::string sealed(const std::string& record);

/// The record of a sealed file. Throws FormatError when it is damaged, with `advice` behind what is
/// wrong; InputError and IoError as core::read_file.
std::string unsealed(const std::filesystem::path& path, const std::string& advice);

}  // namespace distill::io
