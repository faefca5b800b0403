#include <distill/core/files.h>

#include <fstream>
#include <optional>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "support/temp_folder.h"

namespace distill::core {
namespace {

using testing::message_of;
using testing::TempFolder;
namespace fs = std::filesystem;

std::size_t count_files(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(MappedFile, ShowsContentAndOutlivesTheName) {
  const TempFolder folder;
  write_file_atomically(folder / "f", "abc");
  const MappedFile file = MappedFile::open(folder / "f");
  fs::remove(folder / "f");
  EXPECT_EQ(file.text(), "abc");
}

TEST(MappedFile, EmptyFile) {
  const TempFolder folder;
  write_file_atomically(folder / "f", "");
  EXPECT_EQ(MappedFile::open(folder / "f").text(), "");
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const TempFolder folder;
  EXPECT_NE(
      message_of<InputError>([&] { MappedFile::open(folder / "missing"); }).find("no such file"),
      std::string::npos);
  EXPECT_NE(message_of<InputError>([&] { MappedFile::open(folder.path()); }).find("a folder"),
            std::string::npos);
  message_of<InputError>([] { MappedFile::open("/dev/zero"); });
  // A FIFO without a writer must not block.
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  message_of<InputError>([&] { MappedFile::open(folder / "fifo"); });
}

TEST(ReadFile, RefusesLargerThanAsked) {
  const TempFolder folder;
  write_file_atomically(folder / "f", "0123456789");
  EXPECT_EQ(read_file(folder / "f", 10), "0123456789");
  message_of<InputError>([&] { read_file(folder / "f", 9); });
}

TEST(AtomicFile, NothingChangesWithoutCommit) {
  const TempFolder folder;
  write_file_atomically(folder / "f", "old");
  {
    AtomicFile file(folder / "f");
    file.write("new");
  }
  EXPECT_EQ(read_file(folder / "f", 100), "old");
  EXPECT_EQ(count_files(folder.path()), 1u);
}

TEST(AtomicFile, TwoWritersOfOneFileDoNotMeet) {
  const TempFolder folder;
  AtomicFile first(folder / "f");
  AtomicFile second(folder / "f");
  first.write("the first");
  second.write("2nd");
  first.commit();
  EXPECT_EQ(read_file(folder / "f", 100), "the first");
  second.commit();
  EXPECT_EQ(read_file(folder / "f", 100), "2nd");
  EXPECT_EQ(count_files(folder.path()), 1u);
}

TEST(AtomicFile, FullDiskIsOneLineAndLeavesTheOldFile) {
  // /dev/full accepts opens and fails each write with ENOSPC.
  AppendFile file("/dev/full");
  const auto message = message_of<IoError>([&] { file.append("x"); });
  EXPECT_EQ(message, "/dev/full: could not write it: No space left on device");
}

TEST(AppendFile, Appends) {
  const TempFolder folder;
  { AppendFile(folder / "f").append("a\n"); }
  { AppendFile(folder / "f").append("b\n"); }
  EXPECT_EQ(read_file(folder / "f", 100), "a\nb\n");
}

TEST(MappedFile, PathsInMessagesAreOneHarmlessLine) {
  EXPECT_EQ(message_of<InputError>([] { MappedFile::open("no\n\x1b[2Jfile"); }),
            "no\\x0a\\x1b[2Jfile: no such file");
}

TEST(MappedFile, PathsThatNameNothingAreTheUsersToMend) {
  const TempFolder folder;
  std::filesystem::create_symlink("loop", folder / "loop");
  for (const auto& path : {folder / "loop", folder / std::string(300, 'x')}) {
    EXPECT_NE(message_of<InputError>([&] { MappedFile::open(path); }).find("could not open it"),
              std::string::npos);
  }
}

TEST(FolderLock, ALockThatWasMovedAwayIsNoLock) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "run");
  const FolderLock old(folder / "run");
  std::filesystem::rename(folder / "run", folder / "old");
  std::filesystem::create_directory(folder / "run");
  const FolderLock current(folder / "run");
  EXPECT_THROW(FolderLock second(folder / "run"), InputError);
  EXPECT_THROW(FolderLock third(folder / "old"), InputError);
}

TEST(FolderLock, SecondHolderIsRefused) {
  const TempFolder folder;
  std::optional<FolderLock> first(folder.path());
  message_of<InputError>([&] { FolderLock second(folder.path()); });
  first.reset();
  EXPECT_NO_THROW(FolderLock third(folder.path()));
}

}  // namespace
}  // namespace distill::core
