#include "io/logit_cache_index.h"

#include <algorithm>
#include <functional>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/core/paths.h>

namespace distill::io::cache_format {

bool is_signals_name(std::string_view name) {
  constexpr std::string_view kBegin = "rank_";
  constexpr std::string_view kEnd = ".signals";
  if (name.size() < kBegin.size() + 5 + kEnd.size() || name.size() > 30) return false;
  if (!name.starts_with(kBegin) || !name.ends_with(kEnd)) return false;
  name.remove_prefix(kBegin.size());
  name.remove_suffix(kEnd.size());
  return std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

std::uint64_t write_index(const std::filesystem::path& path, const CacheKey& capture,
                          const std::vector<IndexEntry>& entries) {
  FileHeader header;
  header.magic = kIndexMagic;
  header.capture = capture;
  header.count = entries.size();
  const auto bytes = std::as_bytes(std::span(entries));
  header.checksum = checksum(checked_part(header), bytes);
  core::AtomicFile file(path);
  file.write(bytes_of(header));
  file.write(bytes);
  file.commit();
  return sizeof(header) + bytes.size();
}

std::vector<IndexEntry> read_index(const RandomAccessFile& file, const CacheKey& capture) {
  FileHeader header;
  file.read(0, std::as_writable_bytes(std::span(&header, 1)));
  const std::uint64_t rest = file.size() - sizeof(header);
  if (header.count != rest / sizeof(IndexEntry)) {
    fail<FormatError>(core::shown(file.path()),
                      ": is of another size than it says; capture it "
                      "again with `distill cache --restart`");
  }
  std::vector<IndexEntry> entries(rest / sizeof(IndexEntry));
  const auto bytes = std::as_writable_bytes(std::span(entries));
  file.read(sizeof(header), bytes);
  const auto problem = header_problem(header, kIndexMagic, capture, bytes);
  if (problem) fail<FormatError>(core::shown(file.path()), ": ", *problem);
  const bool rises =
      std::ranges::adjacent_find(entries, std::greater_equal{}, &IndexEntry::key) == entries.end();
  if (header.count != entries.size() || rest % sizeof(IndexEntry) != 0 || !rises) {
    fail<FormatError>(core::shown(file.path()), ": its entries are not as they must be");
  }
  return entries;
}

std::string hash_of(const LogitCacheSpec& spec, const std::vector<IndexEntry>& entries) {
  core::Hasher hasher;
  hasher.add(spec_json(spec));
  for (const IndexEntry& entry : entries) {
    hasher.add(bytes_of(entry.key));
    hasher.add(bytes_of(entry.positions));
    hasher.add(bytes_of(entry.payload_bytes));
    hasher.add(bytes_of(entry.checksum));
  }
  return hasher.hex();
}

}  // namespace distill::io::cache_format
