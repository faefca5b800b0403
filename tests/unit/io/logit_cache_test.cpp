#include <distill/io/logit_cache.h>

#include <cstring>
#include <fstream>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/core/paths.h>
#include "io/logit_cache_format.h"
#include "support/cache_files.h"
#include "support/temp_folder.h"

namespace distill::io {
namespace {

namespace fs = std::filesystem;
using namespace testing;

std::string read(const fs::path& path) {
  return core::read_file(path, 1 << 24);
}
void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

/// All that a run or `inspect --check` does with a cache.
void use(const fs::path& folder) {
  const LogitCache cache(folder);
  cache.read_all([&](const LogitCache::Segment& segment) {
    decode_top_k(segment.payload, segment.positions, 3, 50'000, segment.where);
  });
}

TEST(LogitCache, GivesBackWhatWasWritten) {
  const TempFolder folder;
  write_small_cache(folder / "c", 40);
  const LogitCache cache(folder / "c");
  EXPECT_EQ(cache.info().segments, 40);
  EXPECT_EQ(cache.info().spec.fact("tokenizer"), "t-hash");
  EXPECT_EQ(cache.info().hash, read_logit_cache_info(folder / "c").hash);
  std::int64_t positions = 0;
  for (const std::uint64_t number : {39U, 0U, 7U, 7U, 21U}) {
    const auto segment = cache.read(small_key(number));
    ASSERT_TRUE(segment);
    ASSERT_EQ(segment->positions, small_positions(number));
    const auto rows = decode_top_k(segment->payload, segment->positions, 3, 50'000, "x");
    EXPECT_EQ(rows.ids, small_rows(number, segment->positions).ids);
  }
  EXPECT_FALSE(cache.has(small_key(40)));
  EXPECT_FALSE(cache.read(small_key(40)));
  int count = 0;
  cache.read_all([&](const LogitCache::Segment& segment) {
    positions += segment.positions;
    ++count;
  });
  EXPECT_EQ(count, 40);
  EXPECT_EQ(positions, cache.info().positions);
  EXPECT_FALSE(core::path_exists(folder / "c/capture.json"));
}

TEST(LogitCache, EveryFlippedBitAndEveryTruncationIsSeen) {
  const TempFolder folder;
  const fs::path cache = folder / "c";
  write_small_cache(cache, 20);
  use(cache);
  std::uint64_t bytes = 0;
  for (const auto* name : {"cache.json", "index", "rank_00000.signals"}) {
    const fs::path path = cache / name;
    const std::string good = read(path);
    bytes += good.size();
    {
      std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
      const auto put = [&](std::size_t at, char byte) {
        file.seekp(static_cast<std::streamoff>(at)).put(byte).flush();
      };
      for (std::size_t i = 0; i < good.size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) {
          put(i, static_cast<char>(good[i] ^ (1 << bit)));
          ASSERT_THROW(use(cache), InputError) << name << " byte " << i << " bit " << bit;
        }
        put(i, good[i]);
      }
    }
    for (std::size_t size = good.size(); size-- > 0;) {
      fs::resize_file(path, size);
      ASSERT_THROW(use(cache), InputError) << name << " cut off at " << size;
    }
    write(path, good + '\0');
    ASSERT_THROW(use(cache), InputError) << name << " is longer";
    fs::remove(path);
    ASSERT_THROW(use(cache), InputError) << name << " is gone";
    write(path, good);
  }
  use(cache);
  EXPECT_GT(bytes, 2000U);
}

TEST(LogitCache, RefusesFilesOfAnotherCacheByName) {
  const TempFolder folder;
  write_small_cache(folder / "a", 5);
  LogitCacheSpec other = small_spec();
  other.facts[0].second = "models/U";
  write_small_cache(folder / "b", 5, other);
  fs::copy_file(folder / "b/rank_00000.signals", folder / "a/rank_00000.signals",
                fs::copy_options::overwrite_existing);
  EXPECT_EQ(message_of<FormatError>([&] { use(folder / "a"); }),
            core::concat((folder / "a/rank_00000.signals").string(), ": belongs to another cache"));
}

TEST(LogitCache, RefusesASegmentPutInPlaceOfAnother) {
  const TempFolder folder;
  write_small_cache(folder / "a", 8);
  std::string bytes = read(folder / "a/rank_00000.signals");
  const LogitCache cache(folder / "a");
  // Where each record begins, and two that take as many bytes.
  std::vector<std::size_t> begins = {48};
  for (std::uint64_t i = 0; i < 8; ++i) {
    begins.push_back(begins.back() + 32 + cache.read(small_key(i))->payload.size());
  }
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  for (std::uint64_t i = 0; i < 8; ++i) {
    for (std::uint64_t j = i + 1; j < 8; ++j) {
      if (begins[i + 1] - begins[i] == begins[j + 1] - begins[j]) a = i, b = j;
    }
  }
  ASSERT_NE(a, b);
  const std::size_t size = begins[a + 1] - begins[a];
  const std::string first = bytes.substr(begins[a], size);
  const std::string second = bytes.substr(begins[b], size);
  bytes.replace(begins[a], size, second).replace(begins[b], size, first);
  write(folder / "a/rank_00000.signals", bytes);
  const std::string message = message_of<FormatError>([&] { cache.read(small_key(a)); });
  EXPECT_NE(message.find("damaged"), std::string::npos) << message;
}

/// The file with another number at `place` and its checksum made to fit.
void patch(const fs::path& path, std::size_t place, std::uint32_t number) {
  std::string bytes = read(path);
  std::memcpy(bytes.data() + place, &number, sizeof(number));
  const auto view = std::as_bytes(std::span(bytes));
  const std::uint64_t sum = cache_format::checksum(view.first(40), {});
  std::memcpy(bytes.data() + 40, &sum, sizeof(sum));
  write(path, bytes);
}

TEST(LogitCache, RefusesOtherVersionsAndByteOrdersByName) {
  const TempFolder folder;
  const fs::path signals = folder / "c/rank_00000.signals";
  write_small_cache(folder / "c", 3);
  const std::string good = read(signals);
  const auto message = [&] { return message_of<FormatError>([&] { use(folder / "c"); }); };
  for (const std::uint32_t version : {0U, 2U, 7U}) {
    patch(signals, 8, version);
    EXPECT_EQ(message(), core::concat(signals.string(), ": of version ", version,
                                      " of logit caches, this libdistill reads version 1; capture "
                                      "it again with `distill cache --restart`"));
    write(signals, good);
  }
  patch(signals, 12, cache_format::kOtherByteOrder);
  EXPECT_EQ(message(), core::concat(signals.string(),
                                    ": was written on a machine of the other byte order; capture "
                                    "it again with `distill cache --restart`"));
  write(signals, good);
  std::string text = read(folder / "c/cache.json");
  text = text.substr(0, text.find('\n'));
  text.replace(text.find("\"version\":1"), 11, "\"version\":2");
  write(folder / "c/cache.json", text + "\n" + core::hash_text(text) + "\n");
  EXPECT_EQ(message(), core::concat((folder / "c/cache.json").string(),
                                    ": a logit cache of version 2, this libdistill reads version "
                                    "1; capture it again with `distill cache --restart`"));
}

TEST(LogitCache, LiesAboutSizesAreRefused) {
  const TempFolder folder;
  write_small_cache(folder / "c", 3);
  const std::string text = read(folder / "c/cache.json");
  const std::string record = text.substr(0, text.find('\n'));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = record;
    changed.replace(changed.find(from), from.size(), to);
    write(folder / "c/cache.json", changed + "\n" + core::hash_text(changed) + "\n");
  };
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"index_bytes\":192", "\"index_bytes\":9223372036854775807"},
           {"\"segments\":3", "\"segments\":1099511627776"},
           {"\"size\":3", "\"size\":65536"},
           {"\"size\":3", "\"size\":0"},
           {"\"vocabulary\":50000", "\"vocabulary\":2"},
           {"rank_00000.signals", "../../../etc/passwd"},
           {"rank_00000.signals", "rank_00001.signals"},
           {"\"temperature\":1", "\"temperature\":0"},
           {"top_k", "top_p"}}) {
    ASSERT_NE(record.find(from), std::string::npos) << from << record;
    with(from, to);
    EXPECT_THROW(use(folder / "c"), InputError) << to;
  }
}

/// Opens a cache with so many bytes of address space more than there are; the exit code.
int open_with_little_memory(const fs::path& folder, std::uint64_t more) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t limit = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + more;
    const struct rlimit bound {
      limit, limit
    };
    ::setrlimit(RLIMIT_AS, &bound);
    try {
      const LogitCache cache(folder);
      ::_exit(1);
    } catch (const FormatError&) {
      ::_exit(0);
    } catch (...) {
      ::_exit(2);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// A sparse file costs nothing to make, and must not cost its size to refuse.
TEST(LogitCache, ASparseIndexIsRefusedWithoutItsSizeInMemory) {
  const TempFolder folder;
  write_small_cache(folder / "c", 3);
  const fs::path path = folder / "c/index";
  constexpr std::uint64_t kEntries = std::uint64_t{1} << 26;
  constexpr std::uint64_t kBytes = 48 + 48 * kEntries;  // 3 GiB
  std::string header = read(path).substr(0, 48);
  std::memcpy(header.data() + 32, &kEntries, sizeof(kEntries));
  write(path, header);
  fs::resize_file(path, kBytes);
  std::string record = read(folder / "c/cache.json");
  record = record.substr(0, record.find('\n'));
  for (const auto& [from, to] :
       {std::pair<std::string, std::string>{"\"index_bytes\":192",
                                            "\"index_bytes\":" + std::to_string(kBytes)},
        {"\"segments\":3", "\"segments\":" + std::to_string(kEntries)}}) {
    ASSERT_NE(record.find(from), std::string::npos) << record;
    record.replace(record.find(from), from.size(), to);
  }
  write(folder / "c/cache.json", record + "\n" + core::hash_text(record) + "\n");
  EXPECT_EQ(open_with_little_memory(folder / "c", std::uint64_t{256} << 20), 0);
}

TEST(LogitCache, SaysWhatIsInAFolderThatIsNone) {
  const TempFolder folder;
  EXPECT_EQ(message_of<InputError>([&] { LogitCache(folder / "no"); }),
            core::concat((folder / "no").string(),
                         ": holds no logit cache (no cache.json); make it with `distill cache "
                         "RECIPE`"));
  { const LogitCacheWriter writer(folder / "c", small_spec(), {}); }
  EXPECT_EQ(message_of<InputError>([&] { LogitCache(folder / "c"); }),
            core::concat((folder / "c").string(),
                         ": the capture of this cache was not finished; run `distill cache` with "
                         "the same recipe, it goes on from there"));
}

}  // namespace
}  // namespace distill::io
