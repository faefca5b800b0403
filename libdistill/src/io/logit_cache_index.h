#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "io/logit_cache_format.h"

namespace distill::io::cache_format {

/// `rank_NNNNN.signals`, with nothing before it.
bool is_signals_name(std::string_view name);

/// Sorts and writes it, whole or not at all; returns its size.
std::uint64_t write_index(const std::filesystem::path& path, const CacheKey& capture,
                          const std::vector<IndexEntry>& entries);
/// Throws FormatError where it is damaged, of another cache, or its keys do not ascend.
std::vector<IndexEntry> read_index(const RandomAccessFile& file, const CacheKey& capture);

/// Of the spec and of every signal; where signals lie does not count.
std::string hash_of(const LogitCacheSpec& spec, const std::vector<IndexEntry>& entries);

}  // namespace distill::io::cache_format
