#include <algorithm>
#include <limits>

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/core/hash.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/logit_cache.h>

#include "io/logit_cache_index.h"

namespace distill::io {

namespace fs = std::filesystem;
using namespace cache_format;

namespace {

struct Description {
  LogitCacheInfo info;
  std::uint64_t index_bytes = 0;
  std::vector<std::pair<std::string, std::uint64_t>> files;  ///< names and sizes
};

std::uint64_t size_at(const JsonCursor& cursor, std::string_view name) {
  return static_cast<std::uint64_t>(
      cursor.at(name).int_in(0, std::numeric_limits<std::int64_t>::max()));
}

[[noreturn]] void fail_missing(const fs::path& folder) {
  if (core::path_exists(folder / kCaptureFile)) {
    fail<InputError>(core::shown(folder),
                     ": the capture of this cache was not finished; run `distill cache` with the "
                     "same recipe, it goes on from there");
  }
  fail<InputError>(core::shown(folder),
                   ": holds no logit cache (no cache.json); make it with `distill cache RECIPE`");
}

Description read_all_of_description(const fs::path& folder) {
  const fs::path path = folder / kDescriptionFile;
  if (!core::path_exists(path)) fail_missing(folder);
  const JsonValue value = read_description(path);
  const JsonCursor root(value, core::shown(path));
  Description description;
  LogitCacheInfo& info = description.info;
  info.folder = folder;
  info.spec = spec_of(root.at("spec"));
  info.segments = root.at("segments").int_in(0, std::int64_t{1} << 40);
  info.positions = root.at("positions").int_in(0, std::int64_t{1} << 50);
  info.hash = root.at("hash").as_string();
  description.index_bytes = size_at(root, "index_bytes");
  info.bytes = description.index_bytes;
  const JsonCursor files = root.at("files");
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string& name = files.at(i).at("name").as_string();
    // One of ours, so that nothing outside of the folder is opened.
    if (!is_signals_name(name)) files.at(i).at("name").fail("is no name of a file of signals");
    description.files.emplace_back(name, size_at(files.at(i), "bytes"));
    const auto sum = core::checked_add(info.bytes, description.files.back().second);
    if (!sum) files.at(i).at("bytes").fail("does not fit");
    info.bytes = *sum;
  }
  return description;
}

void check_size(const RandomAccessFile& file, std::uint64_t expected) {
  if (file.size() == expected) return;
  fail<FormatError>(core::shown(file.path()), ": has ", file.size(), " bytes, expected ", expected,
                    "; it was cut off or changed, capture it again with `distill cache --restart`");
}

/// A file of signals whose header is good.
RandomAccessFile open_signals(const fs::path& path, std::uint64_t expected,
                              const CacheKey& capture) {
  RandomAccessFile file(path);
  check_size(file, expected);
  FileHeader header;
  file.read(0, std::as_writable_bytes(std::span(&header, 1)));
  const auto problem =
      header_problem(header, kSignalsMagic, capture, checksum(checked_part(header), {}));
  if (problem) fail<FormatError>(core::shown(path), ": ", *problem);
  return file;
}

}  // namespace

LogitCacheInfo read_logit_cache_info(const fs::path& folder) {
  return read_all_of_description(folder).info;
}

struct LogitCache::Impl {
  explicit Impl(const fs::path& folder) {
    Description description = read_all_of_description(folder);
    info = std::move(description.info);
    const CacheKey capture = capture_of(info.spec);
    const RandomAccessFile index_file(folder / kIndexFile);
    check_size(index_file, description.index_bytes);
    index = read_index(index_file, capture);
    for (const auto& [name, bytes] : description.files) {
      files.push_back(open_signals(folder / name, bytes, capture));
    }
    check_index(index_file.path());
  }

  void check_index(const fs::path& path) const {
    std::int64_t positions = 0;
    for (const IndexEntry& entry : index) {
      const bool fits =
          entry.file < files.size() && entry.payload_bytes <= kMostPayload &&
          entry.offset <= files[entry.file].size() &&
          files[entry.file].size() - entry.offset >= sizeof(RecordHeader) + entry.payload_bytes;
      if (!fits) fail<FormatError>(core::shown(path), ": names a place that is not in the files");
      positions += entry.positions;
    }
    if (std::ssize(index) == info.segments && positions == info.positions &&
        hash_of(info.spec, index) == info.hash) {
      return;
    }
    fail<FormatError>(core::shown(path), ": is not the index that ", kDescriptionFile, " tells of");
  }

  const IndexEntry* find(const CacheKey& key) const {
    const auto found =
        std::lower_bound(index.begin(), index.end(), key,
                         [](const auto& entry, const auto& k) { return entry.key < k; });
    return found != index.end() && found->key == key ? &*found : nullptr;
  }

  Segment read(const IndexEntry& entry) const {
    const RandomAccessFile& file = files[entry.file];
    Segment segment;
    segment.where = core::concat(core::shown(file.path()), ": the segment at byte ", entry.offset);
    RecordHeader header;
    file.read(entry.offset, std::as_writable_bytes(std::span(&header, 1)));
    bool same = header.key == entry.key && header.positions == entry.positions &&
                header.payload_bytes == entry.payload_bytes && header.checksum == entry.checksum;
    if (same) {
      segment.payload.resize(entry.payload_bytes);
      file.read(entry.offset + sizeof(RecordHeader), segment.payload);
      same = entry.checksum == checksum(checked_part(header), segment.payload);
    }
    if (!same) {
      fail<FormatError>(segment.where,
                        " is damaged, its checksum is another one; capture it again with `distill "
                        "cache --restart`");
    }
    segment.positions = entry.positions;
    return segment;
  }

  LogitCacheInfo info;
  std::vector<IndexEntry> index;
  std::vector<RandomAccessFile> files;
};

LogitCache::LogitCache(const fs::path& folder) : impl_(std::make_unique<Impl>(folder)) {}
LogitCache::~LogitCache() = default;

const LogitCacheInfo& LogitCache::info() const {
  return impl_->info;
}

bool LogitCache::has(const CacheKey& key) const {
  return impl_->find(key) != nullptr;
}

std::optional<LogitCache::Segment> LogitCache::read(const CacheKey& key) const {
  const IndexEntry* entry = impl_->find(key);
  return entry == nullptr ? std::nullopt : std::optional(impl_->read(*entry));
}

void LogitCache::read_all(const std::function<void(const Segment&)>& take) const {
  std::vector<const IndexEntry*> order;
  for (const IndexEntry& entry : impl_->index) order.push_back(&entry);
  std::ranges::sort(order, {}, [](const auto* e) { return std::pair(e->file, e->offset); });
  std::vector<std::uint64_t> ends(impl_->files.size(), sizeof(FileHeader));
  for (const IndexEntry* entry : order) {
    std::uint64_t& end = ends[entry->file];
    if (entry->offset != end) {
      fail<FormatError>(core::shown(impl_->files[entry->file].path()), ": holds something at byte ",
                        end, " that belongs to no segment");
    }
    end += sizeof(RecordHeader) + entry->payload_bytes;
    take(impl_->read(*entry));
  }
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (ends[i] == impl_->files[i].size()) continue;
    fail<FormatError>(core::shown(impl_->files[i].path()), ": holds something at byte ", ends[i],
                      " that belongs to no segment");
  }
}

}  // namespace distill::io
