#include "dist/shared_block.h"

#include <cstring>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <distill/core/error.h>

#include "support/temp_folder.h"

namespace distill::dist::detail {
namespace {

TEST(SharedBlock, IsWrittenToByItsMakerAlone) {
  const auto block = SharedBlock::create(4096);
  std::memcpy(block->data(), "own", 4);
  const int seals = ::fcntl(block->descriptor(), F_GET_SEALS);
  EXPECT_EQ(seals & (F_SEAL_SHRINK | F_SEAL_GROW), F_SEAL_SHRINK | F_SEAL_GROW);
  if ((seals & 0x10) == 0) GTEST_SKIP() << "the kernel has no F_SEAL_FUTURE_WRITE";
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, block->descriptor(), 0),
            MAP_FAILED);
  EXPECT_EQ(::pwrite(block->descriptor(), "x", 1, 0), -1);
  const auto other = SharedBlock::open(Descriptor(::dup(block->descriptor())), 4096, false, "peer");
  std::memcpy(block->data(), "new", 4);
  EXPECT_EQ(std::memcmp(other->data(), "new", 4), 0);
}

TEST(SharedBlock, MapsWhatIsNeededOfAnothersAndMoreWhenItIs) {
  const auto block = SharedBlock::create(100'000);
  block->data()[99'999] = std::byte{7};
  const auto other = SharedBlock::open(Descriptor(::dup(block->descriptor())), 10, false, "peer");
  EXPECT_EQ(other->size(), 10u);
  EXPECT_EQ(other->with_size(100'000, "peer")->data()[99'999], std::byte{7});
  EXPECT_NE(testing::message_of<DistributedError>([&] {
              other->with_size(100'001, "peer");
            }).find("of 100000 bytes, expected at least 100001"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::dist::detail
