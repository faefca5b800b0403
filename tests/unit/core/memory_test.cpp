#include <distill/core/memory.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <vector>

#include <gtest/gtest.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "support/temp_folder.h"

namespace distill::core {
namespace {

/// A system made of files.
class AvailableMemory : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const auto file = root_ / path;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file) << text;
  }
  void write_group(const std::string& folder, const std::string& limit, const std::string& usage,
                   const std::string& stat) {
    write(folder + "/memory.max", limit + "\n");
    write(folder + "/memory.current", usage + "\n");
    write(folder + "/memory.stat", stat);
  }
  std::optional<std::uint64_t> there() const { return available_memory(root_.path()); }
  testing::TempFolder root_;
};

TEST_F(AvailableMemory, IsUnknownWhereNothingSaysIt) {
  EXPECT_EQ(there(), std::nullopt);
  write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: many kB\n");
  EXPECT_EQ(there(), std::nullopt);
}

TEST_F(AvailableMemory, ReadsWhatLinuxSays) {
  write("proc/meminfo", "MemTotal:       24000 kB\nMemFree: 10 kB\nMemAvailable:   18207 kB\n");
  EXPECT_EQ(there(), 18207u * 1024);
}

TEST_F(AvailableMemory, TheLowestGroupCounts) {
  write("proc/meminfo", "MemAvailable: 1000 kB\n");
  write("proc/self/cgroup", "0::/outer/inner\n");
  write_group("sys/fs/cgroup/outer/inner", "max", "5", "");
  EXPECT_EQ(there(), 1000u * 1024);
  write_group("sys/fs/cgroup/outer", "500000", "400000", "anon 7\ninactive_file 100\nfile 9\n");
  EXPECT_EQ(there(), 100100u);
  write_group("sys/fs/cgroup/outer/inner", "300000", "290000",
              "inactive_file 1000\nactive_file 2000\n");
  EXPECT_EQ(there(), 13000u);
  write_group(
      "sys/fs/cgroup/outer/inner", "300000", "290000",
      "inactive_file 1000\nactive_file 2000\nslab_reclaimable 4000\nslab_unreclaimable 9\n");
  EXPECT_EQ(there(), 17000u);
  write_group("sys/fs/cgroup/outer/inner", "300000", "310000", "");
  EXPECT_EQ(there(), 0u);
}

TEST_F(AvailableMemory, KnowsTheOlderGroupsToo) {
  write("proc/meminfo", "MemAvailable: 1000 kB\n");
  write("proc/self/cgroup", "5:cpu,memoryless:/x\n4:memory:/not/seen/here\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "200000\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "150000\n");
  write("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 50000\n");
  EXPECT_EQ(there(), 100000u);
}

TEST_F(AvailableMemory, OddFilesDoNoHarm) {
  write("proc/meminfo", "MemAvailable: 1000 kB\n");
  write("proc/self/cgroup", "garbage\n:\n0:\n0::\n1:memory:../../..\n");
  write_group("sys/fs/cgroup", "99999999999999999999999", "1", "");
  EXPECT_EQ(there(), 1000u * 1024);
}

TEST(AvailableMemoryHere, IsSomeOfTheMachine) {
  const auto there = available_memory();
  if (!there) GTEST_SKIP() << "this system does not say";
  EXPECT_GT(*there, std::uint64_t{1} << 20);
}

TEST(FreeSpace, IsThatOfTheNearestFolderThatIsThere) {
  const auto here = free_space("/tmp");
  ASSERT_TRUE(here);
  EXPECT_GT(*here, 0u);
  const auto below = free_space("/tmp/not/there/yet");
  ASSERT_TRUE(below);
  EXPECT_NEAR(static_cast<double>(*below), static_cast<double>(*here), 1e9);
}

#if defined(__GLIBC__)
TEST(PeakMemory, IsForgottenAndCountedAnew) {
  constexpr std::size_t kLarge = std::size_t{200} << 20;
  const auto touch = [] {
    std::vector<char> block(kLarge, 1);
    const volatile char* look = block.data();
    return look[kLarge / 2];
  };
  EXPECT_EQ(touch(), 1);
  EXPECT_GE(peak_memory(), kLarge);
  release_freed_memory();
  if (!forget_peak_memory()) GTEST_SKIP() << "this system does not forget peaks";
  const std::uint64_t low = peak_memory();
  EXPECT_EQ(touch(), 1);
  EXPECT_GE(peak_memory(), low + kLarge / 2);
}

TEST(KeepFreedMemory, LargeBlocksAreNotMappedOneByOne) {
  constexpr std::size_t kLarge = std::size_t{96} << 20;
  const auto mapped_by_a_large_block = [] {
    const std::size_t before = mallinfo2().hblkhd;
    void* volatile block = std::malloc(kLarge);  // volatile: or no block would be taken
    const std::size_t mapped = mallinfo2().hblkhd - before;
    std::free(block);
    return mapped;
  };
  EXPECT_GE(mapped_by_a_large_block(), kLarge);
  ASSERT_TRUE(keep_freed_memory());
  EXPECT_EQ(mapped_by_a_large_block(), 0u);
}
#endif

}  // namespace
}  // namespace distill::core
