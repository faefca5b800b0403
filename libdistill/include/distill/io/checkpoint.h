#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/log.h>

namespace distill::io {

/// Folders that appear whole or not at all, with checksums: `step_00000200`, each with
/// `checksums.json` listing every other file's size and XXH3-128. See docs/formats/checkpoint.md.
class CheckpointStore {
 public:
  /// `root` is RUN/checkpoints; made when missing. Leftovers of interrupted saves are removed, so
  /// no other process may be saving there: hold a core::FolderLock on the run.
  explicit CheckpointStore(std::filesystem::path root);

  /// Calls `write` with a temporary folder, adds checksums, fsyncs all, renames it to its name,
  /// then deletes the oldest beyond `keep` (never before the new one is in place). On any error the
  /// temporary folder is removed and the older checkpoints stay. A checkpoint of the same step is
  /// replaced; steps beyond this one, left from before a resume, count as the oldest. `write` makes
  /// regular files and folders only, and none named `checksums.json`.
  void save(std::int64_t step, std::int64_t keep,
            const std::function<void(const std::filesystem::path&)>& write);

  struct Found {
    std::int64_t step = 0;
    std::filesystem::path folder;
  };
  /// The newest checkpoint whose checksums hold; damaged ones are skipped with a warning that names
  /// the file.
  std::optional<Found> newest(core::Logger& log) const;

  /// Reads all of one checkpoint. Throws FormatError naming the first file that is damaged or
  /// missing.
  static void verify(const std::filesystem::path& folder);

 private:
  void remove_leftovers() const;
  void remove_oldest(std::int64_t newest, std::int64_t keep) const;

  std::filesystem::path root_;
};

}  // namespace distill::io
