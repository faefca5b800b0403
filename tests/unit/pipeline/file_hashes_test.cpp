#include "pipeline/file_hashes.h"

#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/hash.h>
#include "support/temp_folder.h"

namespace distill::pipeline {
namespace {

namespace fs = std::filesystem;

class FileHashesTest : public ::testing::Test {
 protected:
  FileHashesTest() { write("first"); }
  void write(const std::string& text) const { std::ofstream(file_) << text; }
  FileRecord recorded() const { return FileHashes().record(file_); }

  testing::TempFolder folder_;
  fs::path file_ = folder_ / "data.jsonl";
};

TEST_F(FileHashesTest, AFileWhoseTimeWasSetBackIsReadAgain) {
  const FileRecord before = recorded();
  const auto time = fs::last_write_time(file_);
  write("other");  // of the same length
  fs::last_write_time(file_, time);
  FileHashes hashes;
  hashes.remember({before});
  EXPECT_FALSE(hashes.is_same(before));
  EXPECT_EQ(hashes.record(file_).hash, core::hash_text("other"));
}

TEST_F(FileHashesTest, AnotherFileInItsPlaceIsReadAgain) {
  const FileRecord before = recorded();
  const fs::path other = folder_ / "other";
  std::ofstream(other) << "other";
  fs::last_write_time(other, fs::last_write_time(file_));
  fs::rename(other, file_);
  EXPECT_FALSE(FileHashes().is_same(before));
}

TEST_F(FileHashesTest, WhatLooksTheSameIsNotRead) {
  FileRecord before = recorded();
  before.hash = "as it was recorded";
  FileHashes hashes([] { FAIL() << "it was read"; });
  hashes.remember({before});
  EXPECT_TRUE(hashes.is_same(before));
  EXPECT_EQ(hashes.record(file_).hash, "as it was recorded");
}

TEST_F(FileHashesTest, ARecordOfAnEarlierVersionIsHeldAgainstSizeAndTime) {
  FileRecord old = recorded();
  old.recorded = old.inode = 0;
  const auto time = fs::last_write_time(file_);
  fs::rename(file_, folder_ / "aside");
  fs::copy_file(folder_ / "aside", file_);  // another inode
  fs::last_write_time(file_, time);
  EXPECT_TRUE(FileHashes([] { FAIL() << "it was read"; }).is_same(old));
  write("longer than before");
  EXPECT_FALSE(FileHashes().is_same(old));
  // It is no good for others: what they hash is read.
  FileHashes hashes;
  hashes.remember({old});
  EXPECT_EQ(hashes.record(file_).hash, core::hash_text("longer than before"));
}

TEST_F(FileHashesTest, WhatWasReadForNothingIsNotReadEachTime) {
  FileRecord record = recorded();
  fs::permissions(file_, fs::perms::owner_read);  // which its record notes
  FileHashes hashes;
  EXPECT_FALSE(hashes.renew(record)) << "nothing was read";
  EXPECT_TRUE(hashes.is_same(record));
  EXPECT_TRUE(hashes.renew(record));
  EXPECT_FALSE(hashes.renew(record));
  EXPECT_TRUE(FileHashes([] { FAIL() << "it was read"; }).is_same(record));
}

}  // namespace
}  // namespace distill::pipeline
