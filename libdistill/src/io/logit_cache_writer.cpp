#include <distill/io/logit_cache_writer.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>

#include "io/logit_cache_index.h"
#include "io/sealed_record.h"

namespace distill::io {

namespace fs = std::filesystem;
using namespace cache_format;

namespace {

constexpr const char* kBeginAnew = "give the same again, or add --restart to begin anew";

[[noreturn]] void fail_io(const fs::path& path, const char* doing) {
  const int code = errno;
  fail<IoError>(core::shown(path), ": could not ", doing, ": ",
                std::generic_category().message(code));
}

void remove_file(const fs::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail_io(path, "remove it");
}

/// Everything that is part of a cache, and what a kill leaves of it.
bool is_ours(const std::string& name) {
  const auto is = [&](const char* own) {
    return name == own || name.starts_with(std::string(own) + ".tmp-");
  };
  return is(kCacheHeadFile) || is(kDescriptionFile) || is(kCaptureFile) || is(kIndexFile) ||
         is_signals_name(name);
}

std::vector<fs::path> signals_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& path : core::list_folder(folder)) {
    if (is_signals_name(path.filename().string())) files.push_back(path);
  }
  return files;
}

std::map<std::string, std::string> values_of(const LogitCacheSpec& spec) {
  std::map<std::string, std::string> values(spec.facts.begin(), spec.facts.end());
  values["form"] = name_of(spec.form);
  values["size"] = core::concat(spec.size);
  values["vocabulary"] = core::concat(spec.vocabulary);
  values["temperature"] = core::JsonWriter().value(spec.temperature).text();  // all its digits
  return values;
}

void require_same(const fs::path& path, const LogitCacheSpec& wanted) {
  const JsonValue value = read_description(path);
  const auto before = values_of(spec_of(JsonCursor(value, core::shown(path)).at("spec")));
  auto now = values_of(wanted);
  for (const auto& [name, ignored] : before) now.try_emplace(name, "not there");
  for (const auto& [name, is] : now) {
    const auto old = before.find(name);
    const std::string was = old == before.end() ? "not there" : old->second;
    if (was == is) continue;
    fail<InputError>(core::shown(path.parent_path()), ": holds a cache of something else: `",
                     core::printable(name), "` was ", core::printable(was), " and is ",
                     core::printable(is), "; ", kBeginAnew);
  }
}

/// The end of what is whole in a file of signals; nothing: its header is not.
std::optional<std::uint64_t> whole_part(const fs::path& path, const CacheKey& capture,
                                        const std::function<void(const ScannedRecord&)>& take) {
  const RandomAccessFile file(path);
  if (file.size() < sizeof(FileHeader)) return std::nullopt;
  FileHeader header;
  file.read(0, std::as_writable_bytes(std::span(&header, 1)));
  const std::uint64_t sum = checksum(checked_part(header), {});
  if (const auto problem = header_problem(header, kSignalsMagic, capture, sum)) {
    fail<FormatError>(core::shown(path), ": ", *problem);
  }
  std::string ignored;
  return scan_records(file, take, ignored);
}

void nothing(const ScannedRecord&) {}

/// Removes what a rank left half-written that takes no part any more; the rest is on the disk then,
/// whoever wrote it.
void cut_off(const fs::path& path, std::uint64_t end) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) fail_io(path, "open it");
  const bool done = ::ftruncate(file, static_cast<off_t>(end)) == 0 && ::fsync(file) == 0;
  const int code = errno;
  ::close(file);
  errno = code;
  if (!done) fail_io(path, "flush it to disk");
}

}  // namespace

struct LogitCacheWriter::Impl {
  Impl(const fs::path& folder_in, const LogitCacheSpec& spec_in, const Options& options)
      : folder(folder_in), spec(spec_in), capture(capture_of(spec)), rank(options.rank) {
    if (rank == 0) begin(options.restart);
    if (core::path_exists(folder / kDescriptionFile)) {
      finished = true;
      return;
    }
    open_own();
  }
  ~Impl() {
    if (descriptor >= 0) ::close(descriptor);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void begin(bool restart) {
    std::error_code code;
    fs::create_directories(folder, code);
    if (code) fail<IoError>(core::shown(folder), ": could not create it: ", code.message());
    lock.emplace(folder);
    const bool whole = core::path_exists(folder / kDescriptionFile);
    const bool begun = core::path_exists(folder / kCaptureFile);
    if (!restart && whole) {
      require_same(folder / kDescriptionFile, spec);
      remove_file(folder / kCaptureFile);  // of a process that ended before it did
      return;
    }
    if (!restart && begun) return require_same(folder / kCaptureFile, spec);
    const auto old_files = files_to_replace(whole || begun);
    // First the file that says whose folder it is, then the description: what is left of a cache is
    // neither taken for one nor for somebody else's.
    core::write_file_atomically(
        folder / kCaptureFile,
        sealed(core::concat(description_begin(), "\"spec\":", spec_json(spec), "}")));
    remove_file(folder / kDescriptionFile);
    for (const auto& file : old_files) remove_file(file);
  }

  /// Nothing is removed before all of it is known to be a capture's. Without its first file, which
  /// says so, only what a killed beginning leaves is taken for that.
  std::vector<fs::path> files_to_replace(bool was_cache) const {
    std::vector<fs::path> files;
    for (const auto& file : core::list_folder(folder)) {
      const std::string name = file.filename().string();
      if (name == ".lock" || name == kCaptureFile) continue;
      if (!is_ours(name) || (!was_cache && name.find(".tmp") == std::string::npos)) {
        fail<InputError>(core::shown(folder), ": holds other files (", core::printable(name),
                         "); name a folder of its own for the cache");
      }
      files.push_back(file);
    }
    return files;
  }

  void open_own() {
    path = folder / signals_name(rank);
    std::optional<std::uint64_t> end;
    if (core::path_exists(path)) end = whole_part(path, capture, nothing);
    descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
    if (descriptor < 0) fail_io(path, "open it");
    if (::ftruncate(descriptor, static_cast<off_t>(end.value_or(0))) != 0) {
      fail_io(path, "cut it off");
    }
    if (end) return;
    FileHeader header;
    header.magic = kSignalsMagic;
    header.capture = capture;
    header.checksum = checksum(checked_part(header), {});
    append(bytes_of(header));
  }

  void append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
      if (count < 0 && errno != EINTR) fail_io(path, "write it");
      if (count > 0) bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  void sync() {
    if (descriptor >= 0 && ::fdatasync(descriptor) != 0) fail_io(path, "flush it to disk");
  }

  /// Every segment once, where it was first found.
  std::vector<IndexEntry> collect(std::vector<fs::path>& files) const {
    std::vector<IndexEntry> entries;
    for (const fs::path& file : signals_files(folder)) {
      const auto number = static_cast<std::uint32_t>(files.size());
      const auto end = whole_part(file, capture, [&](const ScannedRecord& record) {
        entries.push_back({record.header.key, record.offset, number, record.header.positions,
                           record.header.payload_bytes, record.header.checksum});
      });
      if (!end) {  // of a rank that ended before its first record
        remove_file(file);
        continue;
      }
      cut_off(file, *end);
      files.push_back(file);
    }
    std::ranges::stable_sort(entries, {}, &IndexEntry::key);
    const auto twice = std::ranges::adjacent_find(entries, {}, &IndexEntry::key);
    if (twice != entries.end()) {
      fail<FormatError>(core::shown(folder), ": two ranks wrote the same segment; add --restart");
    }
    return entries;
  }

  void finish(std::int64_t num_segments) {
    std::vector<fs::path> files;
    const auto entries = collect(files);
    if (std::ssize(entries) != num_segments) {
      fail<IoError>(core::shown(folder), ": ", entries.size(), " of ", num_segments,
                    " segments came back from the disk; run the same command again");
    }
    std::int64_t positions = 0;
    for (const auto& entry : entries) positions += entry.positions;
    core::JsonWriter json;
    json.begin_array();
    for (const auto& file : files) {
      const std::uint64_t bytes = RandomAccessFile(file).size();
      json.begin_object().member("name", file.filename().string()).member("bytes", bytes);
      json.end_object();
    }
    json.end_array();
    const std::uint64_t index_bytes = write_index(folder / kIndexFile, capture, entries);
    core::write_file_atomically(
        folder / kDescriptionFile,
        sealed(core::concat(description_begin(), "\"spec\":", spec_json(spec),
                            ",\"segments\":", entries.size(), ",\"positions\":", positions,
                            ",\"hash\":\"", hash_of(spec, entries),
                            "\",\"index_bytes\":", index_bytes, ",\"files\":", json.text(), "}")));
    remove_file(folder / kCaptureFile);
    finished = true;
  }

  fs::path folder;
  LogitCacheSpec spec;
  CacheKey capture;
  std::int64_t rank;
  std::optional<core::FolderLock> lock;
  fs::path path;
  int descriptor = -1;
  bool finished = false;
  std::vector<CacheKey> written;  ///< ascending, by an earlier call
};

LogitCacheWriter::LogitCacheWriter(const fs::path& folder, const LogitCacheSpec& spec,
                                   const Options& options)
    : impl_(std::make_unique<Impl>(folder, spec, options)) {}
LogitCacheWriter::~LogitCacheWriter() = default;

bool LogitCacheWriter::finished() const {
  return impl_->finished;
}

void LogitCacheWriter::find_written() {
  impl_->written.clear();
  for (const auto& path : signals_files(impl_->folder)) {
    whole_part(path, impl_->capture, [this](const ScannedRecord& record) {
      impl_->written.push_back(record.header.key);
    });
  }
  std::ranges::sort(impl_->written);
}

bool LogitCacheWriter::has(const CacheKey& key) const {
  return std::ranges::binary_search(impl_->written, key);
}

std::int64_t LogitCacheWriter::num_written() const {
  return std::ssize(impl_->written);
}

void LogitCacheWriter::add(const CacheKey& key, std::int64_t positions,
                           std::span<const std::byte> payload) {
  const auto count = core::checked_cast<std::uint32_t>(positions);
  if (!count || payload.size() > kMostPayload) {
    fail<InputError>(core::shown(impl_->path), ": a segment of ", positions, " positions and ",
                     payload.size(), " bytes is too long; use shorter rows");
  }
  RecordHeader header{key, *count, static_cast<std::uint32_t>(payload.size()), 0};
  header.checksum = checksum(checked_part(header), payload);
  std::vector<std::byte> record(sizeof(header) + payload.size());
  std::ranges::copy(bytes_of(header), record.begin());
  std::ranges::copy(payload, record.begin() + sizeof(header));
  impl_->append(record);
}

void LogitCacheWriter::sync() {
  impl_->sync();
}

void LogitCacheWriter::finish(std::int64_t num_segments) {
  impl_->finish(num_segments);
}

}  // namespace distill::io
