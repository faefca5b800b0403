#include <distill/core/hash.h>

#include <filesystem>

#include <gtest/gtest.h>

#include <distill/core/files.h>

#include "support/temp_folder.h"

namespace distill::core {
namespace {

// Known answer of XXH3-128 with seed 0 (xxhsum -H2 of an empty input).
TEST(Hash, KnownAnswer) {
  EXPECT_EQ(hash_text(""), "99aa06d3014798d86001c324468d497f");
}

TEST(Hash, PiecesEqualTheWhole) {
  Hasher hasher;
  hasher.add("hello ");
  hasher.add("world");
  EXPECT_EQ(hasher.hex(), hash_text("hello world"));
  EXPECT_NE(hash_text("a"), hash_text("b"));
}

TEST(Hash, FileEqualsText) {
  const testing::TempFolder folder;
  write_file_atomically(folder / "f", "hello world");
  EXPECT_EQ(hash_file(folder / "f"), hash_text("hello world"));
}

TEST(Hash, AFileMayShrinkMeanwhile) {
  const testing::TempFolder folder;
  write_file_atomically(folder / "f", std::string(std::size_t{40} << 20, 'x'));
  int parts = 0;
  hash_file(folder / "f", [&] {
    ++parts;
    std::filesystem::resize_file(folder / "f", 0);
  });
  EXPECT_GT(parts, 0);
}

}  // namespace
}  // namespace distill::core
