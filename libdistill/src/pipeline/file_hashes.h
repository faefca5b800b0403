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
  /// Of the system's own record of the file: when that changed last, in nanoseconds, which no
  /// program can set back, and its number. 0: not known, of an earlier version of libdistill.
  std::int64_t recorded = 0;
  std::int64_t inode = 0;
};

/// Hashes of files, which are not read again as long as they look the same: models have many
/// gigabytes. A file looks the same by its size, its times and its inode; to a record without the
/// latter by size and time of change.
class FileHashes {
 public:
  /// `between_parts` is called often; what it throws ends the hashing.
  explicit FileHashes(std::function<void()> between_parts = {});

  void remember(const std::vector<FileRecord>& records);
  /// Throws InputError when it is missing.
  FileRecord record(const std::filesystem::path& path);
  /// The file is there and holds what it held. Reads it only where it looks changed.
  bool is_same(const FileRecord& before);
  /// A record of a file that looks changed and was found to hold the same becomes that of how it
  /// looks now, so that it need not be read each time. True: it has.
  bool renew(FileRecord& record) const;

 private:
  std::function<void()> between_parts_;
  std::map<std::string, FileRecord> known_;
};

}  // namespace distill::pipeline
