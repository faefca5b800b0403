#include <atomic>
#include <cerrno>
#include <fstream>

#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/data/dataset.h>

#include "support/byte_tokenizer.h"
#include "support/jsonl_file.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"

namespace {
std::atomic<bool> without_locks = false;
}

/// Comes before the system's, and answers as a file system without locks does when it is told to.
extern "C" int flock(int descriptor, int operation) noexcept {
  if (without_locks) {
    errno = ENOSYS;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_flock, descriptor, operation));
}

namespace distill::data {
namespace {

namespace fs = std::filesystem;
using testing::message_of;

class CacheTroubleTest : public ::testing::Test {
 protected:
  CacheTroubleTest() { options_.cache = folder_named(); }
  ~CacheTroubleTest() override { without_locks = false; }

  std::string folder_named() const { return (folder_ / "cache").string(); }
  std::shared_ptr<const Dataset> load(const std::function<void()>& between = {}) {
    const RowReading reading{
        .tokenizer = tokenizer_, .between_rows = between, .cache_folder = folder_named()};
    return Dataset::load({{file_, 1.0}}, options_, reading, log_);
  }
  std::vector<fs::path> entries() const { return core::list_folder(folder_ / "cache"); }

  testing::TempFolder folder_;
  std::string file_ =
      testing::write_lines(folder_ / "d.jsonl", {R"({"text": "one"})", R"({"text": "two"})"});
  DataOptions options_;
  testing::ByteTokenizer tokenizer_;
  testing::RecordingLogger log_;
};

TEST_F(CacheTroubleTest, AFileThatGrowsMeanwhileLeavesNoEntry) {
  bool grown = false;  // after its hash was taken, before its rows are read
  EXPECT_NE(message_of<InputError>([&] {
              load([&] {
                if (!grown) std::ofstream(file_, std::ios::app) << "{\"text\": \"poison\"}\n";
                grown = true;
              });
            }).find("changed while it was read"),
            std::string::npos);
  EXPECT_TRUE(entries().empty());
  file_ = testing::write_lines(folder_ / "d.jsonl", {R"({"text": "one"})", R"({"text": "two"})"});
  EXPECT_EQ(load()->report().documents, 2);
}

TEST_F(CacheTroubleTest, SoDoesOneWhoseSizeAndTimeStayTheSame) {
  const auto time = fs::last_write_time(file_);
  EXPECT_NE(message_of<InputError>([&] {
              load([&] {
                testing::write_lines(file_, {R"({"text": "one"})", R"({"text": "TWO"})"});
                fs::last_write_time(file_, time);
              });
            }).find("changed while it was read"),
            std::string::npos);
  EXPECT_TRUE(entries().empty());
}

TEST_F(CacheTroubleTest, WithoutLocksTwoBuildersBothSucceed) {
  without_locks = true;
  int calls = 0;
  std::string inner;
  const auto outer = load([&] {
    if (++calls != 2) return;  // the first time the file is hashed, then its rows are read
    inner = load()->fingerprint();
  });
  EXPECT_GE(calls, 2);
  EXPECT_EQ(outer->fingerprint(), inner);
  ASSERT_EQ(entries().size(), 1u) << "no lock file, no temporary";
  EXPECT_EQ(entries()[0].extension(), ".tokens");
  EXPECT_EQ(load()->fingerprint(), inner);
}

TEST_F(CacheTroubleTest, WithoutLocksNoFileOfAnotherBuilderIsRemoved) {
  load();
  const fs::path entry = entries().at(0);
  const fs::path other = entry.string() + ".tmp-12345";
  fs::rename(entry, other);
  without_locks = true;
  load();
  EXPECT_EQ(entries(), (std::vector<fs::path>{entry, other}));
}

/// What `auto` makes of a cache that cannot be used; where the recipe names it, that is an error.
void expect_memory_instead(DataOptions& options, const std::function<void()>& load,
                           testing::RecordingLogger& log) {
  EXPECT_THROW(load(), IoError);
  options.cache = "auto";
  load();
  EXPECT_TRUE(log.has("the tokens are held in memory instead"));
}

TEST_F(CacheTroubleTest, AFolderThatCannotBeLookedIntoIsNotNeeded) {
  fs::create_symlink("cache", folder_ / "cache");
  expect_memory_instead(
      options_, [&] { EXPECT_EQ(load()->report().documents, 2); }, log_);
}

TEST_F(CacheTroubleTest, AnEntryThatCannotBeOpenedIsNotNeeded) {
  load();
  const fs::path entry = entries().at(0);
  fs::remove(entry);
  fs::create_directory(entry);
  expect_memory_instead(
      options_, [&] { EXPECT_EQ(load()->report().documents, 2); }, log_);
}

TEST_F(CacheTroubleTest, AFolderWithoutPermissionIsNotNeeded) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may look into every folder";
  fs::create_directory(folder_ / "cache");
  fs::permissions(folder_ / "cache", fs::perms::none);
  expect_memory_instead(
      options_, [&] { EXPECT_EQ(load()->report().documents, 2); }, log_);
}

}  // namespace
}  // namespace distill::data
