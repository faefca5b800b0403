#include "io/logit_cache_index.h"

#include <algorithm>
#include <optional>

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

namespace {

/// Goes through an index with a small part of it in memory; nothing is held on a file's word before
/// the whole of it has been seen to be one: entries that ascend take real bytes.
void check_index(const RandomAccessFile& file, const FileHeader& header, const CacheKey& capture) {
  constexpr std::uint64_t kPart = 4096;  // entries
  core::Hasher hasher;
  hasher.add(checked_part(header));
  std::vector<IndexEntry> part;
  std::optional<CacheKey> before;
  bool rises = true;
  for (std::uint64_t done = 0; done < header.count && rises; done += part.size()) {
    part.resize(std::min(kPart, header.count - done));
    const auto bytes = std::as_writable_bytes(std::span(part));
    file.read(sizeof(FileHeader) + done * sizeof(IndexEntry), bytes);
    hasher.add(bytes);
    for (const IndexEntry& entry : part) {
      rises = rises && (!before || *before < entry.key);
      before = entry.key;
    }
  }
  // A file that does not rise is not read to its end, nor hashed.
  const auto sum = rises ? hasher.words()[1] : header.checksum;
  if (const auto problem = header_problem(header, kIndexMagic, capture, sum)) {
    fail<FormatError>(core::shown(file.path()), ": ", *problem);
  }
  if (!rises) {
    fail<FormatError>(core::shown(file.path()),
                      ": is damaged, its entries do not ascend; capture it again with `distill "
                      "cache --restart`");
  }
}

}  // namespace

std::vector<IndexEntry> read_index(const RandomAccessFile& file, const CacheKey& capture) {
  FileHeader header;
  file.read(0, std::as_writable_bytes(std::span(&header, 1)));
  const std::uint64_t rest = file.size() - sizeof(header);
  if (header.count != rest / sizeof(IndexEntry) || rest % sizeof(IndexEntry) != 0) {
    fail<FormatError>(core::shown(file.path()),
                      ": is of another size than it says; capture it "
                      "again with `distill cache --restart`");
  }
  check_index(file, header, capture);
  std::vector<IndexEntry> entries(header.count);
  file.read(sizeof(header), std::as_writable_bytes(std::span(entries)));
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
