#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include <distill/io/logit_cache.h>

namespace distill::io {

/// Writes a cache that may be stopped at any moment, by several ranks. Until `finish` the folder is
/// no cache; what is whole in it counts, and the same capture goes on from there, with any number
/// of ranks.
///
///     // rank 0 first, the others when it is done
///     LogitCacheWriter writer(folder, spec, {.rank = rank, .restart = false});
///     // when all ranks have one
///     writer.find_written();
///     // when all ranks have looked
///     if (!writer.has(key)) writer.add(key, positions, payload);
///     writer.sync();
///     // when all ranks are done, rank 0:
///     writer.finish(num_segments);
class LogitCacheWriter {
 public:
  struct Options {
    std::int64_t rank = 0;
    bool restart = false;  ///< rank 0: remove what is there
  };
  /// Rank 0 makes the folder and locks it against other captures. Each rank cuts off what a kill
  /// left half-written at the end of its own file. Throws InputError when the folder holds
  /// something else or a capture of another spec (it names the difference); IoError.
  LogitCacheWriter(const std::filesystem::path& folder, const LogitCacheSpec& spec,
                   const Options& options);
  ~LogitCacheWriter();
  LogitCacheWriter(const LogitCacheWriter&) = delete;
  LogitCacheWriter& operator=(const LogitCacheWriter&) = delete;

  /// The cache is there already, with this spec: nothing is left to do.
  bool finished() const;

  /// Looks into the files of all ranks, of an earlier call too.
  void find_written();
  /// By any rank before `find_written`.
  bool has(const CacheKey& key) const;
  std::int64_t num_written() const;  ///< segments that `has` knows

  void add(const CacheKey& key, std::int64_t positions, std::span<const std::byte> payload);
  /// What was added is on the disk.
  void sync();
  /// Reads everything again, writes the index and the description: from here on it is a cache.
  /// Throws IoError when there are not `num_segments` of them, which leaves it unfinished.
  void finish(std::int64_t num_segments);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace distill::io
