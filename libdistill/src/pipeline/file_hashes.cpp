#include "pipeline/file_hashes.h"

#include <chrono>
#include <utility>

#include <sys/stat.h>

#include <distill/core/hash.h>
#include <distill/core/paths.h>

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

/// Without its hash; all zeros where there is no such file.
FileRecord look_at(const fs::path& path) {
  FileRecord record{.path = path.string()};
  std::error_code error;
  const auto changed = fs::last_write_time(path, error);
  if (error) return record;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return record;
  record.size = static_cast<std::uint64_t>(status.st_size);
  record.changed =
      std::chrono::duration_cast<std::chrono::nanoseconds>(changed.time_since_epoch()).count();
  record.recorded = std::int64_t{status.st_ctim.tv_sec} * 1'000'000'000 + status.st_ctim.tv_nsec;
  record.inode = static_cast<std::int64_t>(status.st_ino);
  return record;
}

bool looks_same(const FileRecord& before, const FileRecord& now) {
  if (before.size != now.size || before.changed != now.changed) return false;
  if (before.recorded == 0) return true;
  return before.recorded == now.recorded && before.inode == now.inode;
}

}  // namespace

FileHashes::FileHashes(std::function<void()> between_parts)
    : between_parts_(std::move(between_parts)) {}

void FileHashes::remember(const std::vector<FileRecord>& records) {
  for (const FileRecord& record : records) {
    if (record.recorded == 0) continue;  // good enough for its own stage alone
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

bool FileHashes::renew(FileRecord& record) const {
  const auto known = known_.find(record.path);
  if (known == known_.end() || known->second.hash != record.hash) return false;
  if (record.recorded != 0 && looks_same(record, known->second)) return false;
  record = known->second;
  return true;
}

}  // namespace distill::pipeline
