#include <distill/io/logit_cache_writer.h>

#include <fstream>
#include <set>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>
#include "support/cache_files.h"
#include "support/temp_folder.h"

namespace distill::io {
namespace {

namespace fs = std::filesystem;
using namespace testing;

constexpr std::uint64_t kSegments = 12;

/// Writes what is missing as rank 0 of one.
void go_on(const fs::path& folder) {
  LogitCacheWriter writer(folder, small_spec(), {});
  if (writer.finished()) return;
  writer.find_written();
  for (std::uint64_t i = 0; i < kSegments; ++i) {
    if (!writer.has(small_key(i))) add_segment(writer, i);
  }
  writer.finish(kSegments);
}

std::string hash_of(const fs::path& folder) {
  const LogitCache cache(folder);
  cache.read_all([](const LogitCache::Segment&) {});
  return cache.info().hash;
}

std::string whole_hash() {
  const TempFolder folder;
  write_small_cache(folder / "whole", kSegments);
  return hash_of(folder / "whole");
}

TEST(LogitCacheWriter, WhatAKillLeavesAtAnyByteIsGoneOnFrom) {
  const std::string expected = whole_hash();
  const TempFolder folder;
  const fs::path cache = folder / "c";
  {
    LogitCacheWriter writer(cache, small_spec(), {});
    writer.find_written();
    for (std::uint64_t i = 0; i < 4; ++i) add_segment(writer, i);
  }
  const fs::path signals = cache / "rank_00000.signals";
  const std::string written = core::read_file(signals, 1 << 20);
  std::set<std::int64_t> counts;
  for (std::size_t size = 0; size <= written.size(); ++size) {
    std::ofstream(signals, std::ios::binary) << written.substr(0, size);
    EXPECT_THROW(LogitCache{cache}, InputError) << "an unfinished cache looks complete";
    LogitCacheWriter writer(cache, small_spec(), {});
    writer.find_written();
    counts.insert(writer.num_written());
    for (std::uint64_t i = 0; i < 4; ++i) {
      EXPECT_EQ(writer.has(small_key(i)), static_cast<std::int64_t>(i) < writer.num_written());
      if (!writer.has(small_key(i))) add_segment(writer, i);
    }
    ASSERT_EQ(core::read_file(signals, 1 << 20), written) << size;
  }
  EXPECT_EQ(counts, (std::set<std::int64_t>{0, 1, 2, 3, 4}));
  fs::resize_file(signals, written.size() / 2);
  go_on(cache);
  EXPECT_EQ(hash_of(cache), expected);
}

TEST(LogitCacheWriter, RanksWriteFilesThatTheReaderUnites) {
  const TempFolder folder;
  {
    LogitCacheWriter first(folder / "c", small_spec(), {.rank = 0});
    LogitCacheWriter second(folder / "c", small_spec(), {.rank = 1});
    LogitCacheWriter third(folder / "c", small_spec(), {.rank = 2});
    for (auto* writer : {&first, &second, &third}) writer->find_written();
    for (std::uint64_t i = 0; i < 7; ++i) {
      add_segment(i % 3 == 0 ? first : i % 3 == 1 ? second : third, i);
    }
    second.sync();
  }
  // The third was killed while it wrote; from here on there are two.
  fs::resize_file(folder / "c/rank_00002.signals",
                  fs::file_size(folder / "c/rank_00002.signals") - 5);
  LogitCacheWriter first(folder / "c", small_spec(), {.rank = 0});
  LogitCacheWriter second(folder / "c", small_spec(), {.rank = 1});
  for (auto* writer : {&first, &second}) writer->find_written();
  EXPECT_EQ(first.num_written(), 6);
  for (std::uint64_t i = 0; i < kSegments; ++i) {
    EXPECT_EQ(first.has(small_key(i)), second.has(small_key(i)));
    if (!first.has(small_key(i))) add_segment(i % 2 == 0 ? first : second, i);
  }
  first.finish(kSegments);
  EXPECT_EQ(hash_of(folder / "c"), whole_hash());
  EXPECT_EQ(LogitCache(folder / "c").info().segments, std::int64_t{kSegments});
}

TEST(LogitCacheWriter, KeepsAFinishedCacheAndRefusesOtherWork) {
  const TempFolder folder;
  go_on(folder / "c");
  const std::string before = hash_of(folder / "c");
  EXPECT_TRUE(LogitCacheWriter(folder / "c", small_spec(), {}).finished());
  LogitCacheSpec other = small_spec();
  other.facts[2].second = "e-hash";
  EXPECT_EQ(message_of<InputError>([&] { LogitCacheWriter(folder / "c", other, {}); }),
            core::concat((folder / "c").string(),
                         ": holds a cache of something else: `train data` was d-hash and is "
                         "e-hash; give the same again, or add --restart to begin anew"));
  EXPECT_EQ(hash_of(folder / "c"), before);
  const LogitCacheWriter anew(folder / "c", other, {.restart = true});
  EXPECT_FALSE(anew.finished());
  EXPECT_THROW(LogitCache{folder / "c"}, InputError);
}

TEST(LogitCacheWriter, ComparesTemperaturesWithAllTheirDigits) {
  const TempFolder folder;
  go_on(folder / "c");
  LogitCacheSpec other = small_spec();
  other.temperature = 1.0000001;
  EXPECT_EQ(message_of<InputError>([&] { LogitCacheWriter(folder / "c", other, {}); }),
            core::concat((folder / "c").string(),
                         ": holds a cache of something else: `temperature` was 1 and is 1.0000001; "
                         "give the same again, or add --restart to begin anew"));
}

TEST(LogitCacheWriter, RefusesAFolderOfOtherThings) {
  const TempFolder folder;
  fs::create_directory(folder / "c");
  std::ofstream(folder / "c/letter.txt") << "Dear";
  for (const bool restart : {false, true}) {
    EXPECT_EQ(message_of<InputError>(
                  [&] { LogitCacheWriter(folder / "c", small_spec(), {.restart = restart}); }),
              core::concat((folder / "c").string(),
                           ": holds other files (letter.txt); name a folder of its own for the "
                           "cache"));
  }
  EXPECT_TRUE(core::path_exists(folder / "c/letter.txt"));
}

// Names that a cache has too are no reason to take a file for one's own.
TEST(LogitCacheWriter, RemovesNothingOfAFolderThatItRefuses) {
  const TempFolder folder;
  fs::create_directory(folder / "m");
  for (const char* name : {"head.safetensors", "index", "model.safetensors"}) {
    std::ofstream(folder / "m" / name) << "mine";
  }
  for (const bool restart : {false, true}) {
    EXPECT_THROW(LogitCacheWriter(folder / "m", small_spec(), {.restart = restart}), InputError);
  }
  for (const char* name : {"head.safetensors", "index", "model.safetensors"}) {
    EXPECT_EQ(fs::file_size(folder / "m" / name), 4u) << name;
  }
  {
    LogitCacheWriter writer(folder / "c", small_spec(), {});
    writer.find_written();
    for (std::uint64_t i = 0; i < kSegments; ++i) add_segment(writer, i);
    writer.finish(kSegments);
  }
  std::ofstream(folder / "c/notes.txt") << "mine";
  EXPECT_THROW(LogitCacheWriter(folder / "c", small_spec(), {.restart = true}), InputError);
  EXPECT_EQ(hash_of(folder / "c"), whole_hash());
}

TEST(LogitCacheWriter, ARankThatWroteNothingLeavesNothing) {
  for (const std::uintmax_t size : {0, 1, 47, 48}) {
    const TempFolder folder;
    {
      LogitCacheWriter first(folder / "c", small_spec(), {.rank = 0});
      LogitCacheWriter second(folder / "c", small_spec(), {.rank = 1});
    }
    fs::resize_file(folder / "c/rank_00001.signals", size);
    LogitCacheWriter alone(folder / "c", small_spec(), {});
    alone.find_written();
    for (std::uint64_t i = 0; i < kSegments; ++i) add_segment(alone, i);
    alone.finish(kSegments);
    EXPECT_EQ(hash_of(folder / "c"), whole_hash()) << size;
  }
}

TEST(LogitCacheWriter, RefusesASecondCapture) {
  const TempFolder folder;
  const LogitCacheWriter writer(folder / "c", small_spec(), {});
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      const LogitCacheWriter other(folder / "c", small_spec(), {});
      ::_exit(1);
    } catch (const InputError&) {
      ::_exit(0);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(LogitCacheWriter, IsNotFinishedWithoutAllSegments) {
  const TempFolder folder;
  LogitCacheWriter writer(folder / "c", small_spec(), {});
  writer.find_written();
  add_segment(writer, 1);
  EXPECT_EQ(message_of<IoError>([&] { writer.finish(2); }),
            core::concat((folder / "c").string(),
                         ": 1 of 2 segments came back from the disk; run the same command again"));
  EXPECT_THROW(LogitCache{folder / "c"}, InputError);
}

}  // namespace
}  // namespace distill::io
