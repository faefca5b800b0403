#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <distill/core/error.h>

#include "data/token_sink.h"

/// Files of the token cache: docs/formats/token_cache.md.
namespace distill::data {

/// Writes a cache file; it appears with `finish`, whole, or not at all. Documents go to the disk in
/// pieces. `finish` reads all of it again; `between_parts` is called while that goes on, and what
/// it throws ends it. Throws IoError.
std::unique_ptr<TokenSink> make_cache_writer(const std::filesystem::path& path,
                                             const std::string& key,
                                             std::function<void()> between_parts = {});

/// A file of this kind that may not be used.
class CacheDamaged : public FormatError {
 public:
  using FormatError::FormatError;
};

/// Maps a cache file and checks all of it; `between_parts` is called while that goes on. Throws
/// CacheDamaged for one that is damaged, of another version or key, or holds ids that are not below
/// `vocabulary`; FormatError for a file that never was a token cache.
std::shared_ptr<const TokenFile> open_cache_file(const std::filesystem::path& path,
                                                 const std::string& key, std::int64_t vocabulary,
                                                 const std::function<void()>& between_parts);

}  // namespace distill::data
