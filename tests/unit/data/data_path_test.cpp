#include <distill/data/data_path.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "support/jsonl_file.h"
#include "support/temp_folder.h"

namespace distill::data {
namespace {

namespace fs = std::filesystem;

class DataPath : public ::testing::Test {
 protected:
  DataPath() {
    fs::create_directories(folder_ / "sub.jsonl");
    for (const char* name : {"b.jsonl", "a10.jsonl", "a2.jsonl.gz", "c.jsonl.zst", "B.jsonl",
                             ".hidden.jsonl", "SOURCE.md", "sub.jsonl/x.jsonl", "[1].jsonl"}) {
      testing::write_lines(folder_ / name, {});
    }
  }
  /// Names of what a pattern below the folder gives, joined.
  std::string names(const std::string& pattern) {
    std::string text;
    for (const auto& file : expand_data_path((folder_ / pattern).string())) {
      text += (text.empty() ? "" : " ") + fs::relative(file, folder_.path()).string();
    }
    return text;
  }
  testing::TempFolder folder_;
};

TEST_F(DataPath, AFileIsItself) {
  EXPECT_EQ(names("b.jsonl"), "b.jsonl");
  EXPECT_EQ(names("SOURCE.md"), "SOURCE.md");
  EXPECT_EQ(names("missing.jsonl"), "missing.jsonl") << "whoever opens it says so";
  EXPECT_EQ(names("[1].jsonl"), "[1].jsonl") << "a file of that name comes before the pattern";
}

TEST_F(DataPath, AFolderIsItsDataFilesInTheOrderOfBytes) {
  EXPECT_EQ(names(""), "B.jsonl [1].jsonl a10.jsonl a2.jsonl.gz b.jsonl c.jsonl.zst");
  EXPECT_EQ(names("sub.jsonl"), "sub.jsonl/x.jsonl");
}

TEST_F(DataPath, PatternsMatchFilesInTheOrderOfBytes) {
  EXPECT_EQ(names("a*"), "a10.jsonl a2.jsonl.gz");
  EXPECT_EQ(names("?.jsonl"), "B.jsonl b.jsonl");
  EXPECT_EQ(names("[a-c]*.jsonl*"), "a10.jsonl a2.jsonl.gz b.jsonl c.jsonl.zst");
  EXPECT_EQ(names("*/*.jsonl"), "sub.jsonl/x.jsonl");
}

TEST_F(DataPath, NothingIsAnError) {
  EXPECT_NE(testing::message_of<InputError>([&] {
              names("z*.jsonl");
            }).find("z*.jsonl: no file matches this pattern"),
            std::string::npos);
  fs::create_directories(folder_ / "empty");
  EXPECT_NE(testing::message_of<InputError>([&] {
              names("empty");
            }).find("empty: a folder without data, expected .jsonl"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::data
