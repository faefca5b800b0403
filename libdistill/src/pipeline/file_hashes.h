#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace distill::pipeline {

/// A file as it was when its content was hashed.
struct FileRecord {
  std::string path;
  std::uint64_t size = 0;
  std::int64_t changed = 0;  ///< time of its last change, nanoseconds; 0: it is not there
  std::string hash = {};     ///< core::hash_file
};

/// Hashes of files, which are not read again as long as size and time are the same: models have
/// many gigabytes.
class FileHashes {
 public:
  /// `between_parts` is called often; what it throws ends the hashing.
  explicit FileHashes(std::function<void()> between_parts = {});

  void remember(const std::vector<FileRecord>& records);
  /// Throws InputError when it is missing.
  FileRecord record(const std::filesystem::path& path);
  /// The file is there and holds what it held. Reads it only where it looks changed.
  bool is_same(const FileRecord& before);

 private:
  std::function<void()> between_parts_;
  std::map<std::string, FileRecord> known_;
};

}  // namespace distill::pipeline
