#include "pipeline/file_hashes.h"

#include <chrono>
#include <utility>

#include <distill/core/hash.h>
#include <distill/core/paths.h>

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

/// Without its hash; all zeros where there is no such file.
FileRecord look_at(const fs::path& path) {
  FileRecord record{.path = path.string()};
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) return record;
  const auto changed = fs::last_write_time(path, error);
  if (error) return record;
  record.size = size;
  record.changed =
      std::chrono::duration_cast<std::chrono::nanoseconds>(changed.time_since_epoch()).count();
  return record;
}

bool looks_same(const FileRecord& a, const FileRecord& b) {
  return a.size == b.size && a.changed == b.changed;
}

}  // namespace

FileHashes::FileHashes(std::function<void()> between_parts)
    : between_parts_(std::move(between_parts)) {}

void FileHashes::remember(const std::vector<FileRecord>& records) {
  for (const FileRecord& record : records) {
    if (looks_same(record, look_at(record.path))) known_[record.path] = record;
  }
}

FileRecord FileHashes::record(const fs::path& path) {
  FileRecord now = look_at(path);
  const auto known = known_.find(now.path);
  if (known != known_.end() && looks_same(known->second, now)) return known->second;
  now.hash = core::hash_file(path, between_parts_);
  known_[now.path] = now;
  return now;
}

bool FileHashes::is_same(const FileRecord& before) {
  if (looks_same(before, look_at(before.path))) return true;
  return core::path_exists(before.path) && record(before.path).hash == before.hash;
}

}  // namespace distill::pipeline
