#pragma once

#include <cstdint>
#include <filesystem>

/// `checksums.json` of one checkpoint. See docs/formats/checkpoint.md.
namespace distill::io::detail {

/// Part of the checkpoint format, do not change.
inline constexpr const char* kManifestName = "checksums.json";

/// Flushes every file and folder below `folder` to disk and writes the manifest last. Throws
/// InputError when there is anything but regular files and folders, or a manifest already.
void seal_checkpoint(const std::filesystem::path& folder, std::int64_t step);

/// Throws FormatError naming the file that does not match, or UnsupportedError for another version.
void verify_checkpoint(const std::filesystem::path& folder, std::int64_t step);

}  // namespace distill::io::detail
