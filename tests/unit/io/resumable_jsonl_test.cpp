#include <distill/io/resumable_jsonl.h>

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>

#include "support/temp_folder.h"

namespace distill::io {
namespace {

using testing::message_of;

class ResumableJsonlTest : public ::testing::Test {
 protected:
  ResumableOptions options(bool restart = false) const {
    return {.path = path_, .facts = facts_, .restart = restart};
  }
  std::string text_of(const std::filesystem::path& path) const {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  void set_text(const std::filesystem::path& path, const std::string& text) const {
    std::ofstream(path, std::ios::binary) << text;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& path : core::list_folder(folder_.path())) {
      names.push_back(path.filename().string());
    }
    return names;
  }
  std::string refusal(bool restart = false) const {
    return message_of<InputError>([&] { ResumableJsonl file(options(restart)); });
  }
  /// Writes a first part and stops.
  void begin_work() const {
    ResumableJsonl file(options());
    file.write(R"({"a":1})");
    file.write(R"({"a":2})");
    file.commit_part(R"({"rows":2})");
  }

  testing::TempFolder folder_;
  std::filesystem::path path_ = folder_ / "out.jsonl";
  std::filesystem::path partial_ = folder_ / "out.jsonl.partial";
  std::filesystem::path state_ = folder_ / "out.jsonl.state";
  WorkFacts facts_ = {{"seed", "17"}, {"data", "abc"}};
};

TEST_F(ResumableJsonlTest, AppearsWholeAtTheEnd) {
  ResumableJsonl file(options());
  EXPECT_FALSE(file.progress());
  file.write("{}");
  file.commit_part("{}");
  EXPECT_FALSE(core::path_exists(path_));
  file.write("[]");
  file.commit_part("{}");
  file.finish();
  EXPECT_EQ(text_of(path_), "{}\n[]\n");
  EXPECT_EQ(names(), std::vector<std::string>{"out.jsonl"});
}

TEST_F(ResumableJsonlTest, GoesOnAfterTheLastWholePart) {
  begin_work();
  for (const std::string behind : {"", "{\"a\":3}\n", "{\"a\":3", "\n", "garbage \xff"}) {
    set_text(partial_, "{\"a\":1}\n{\"a\":2}\n" + behind);
    ResumableJsonl file(options());
    ASSERT_TRUE(file.progress());
    EXPECT_EQ(JsonCursor(*file.progress(), "progress").at("rows").as_int(), 2);
    EXPECT_EQ(text_of(file.partial_path()), "{\"a\":1}\n{\"a\":2}\n") << behind;
  }
  {
    ResumableJsonl file(options());
    file.write("not committed");
  }
  ResumableJsonl file(options());
  file.write(R"({"a":4})");
  file.commit_part(R"({"rows":3})");
  file.finish();
  EXPECT_EQ(text_of(path_), "{\"a\":1}\n{\"a\":2}\n{\"a\":4}\n");
}

TEST_F(ResumableJsonlTest, OtherFactsAreNamed) {
  begin_work();
  facts_[0].second = "18";
  EXPECT_NE(refusal().find("out.jsonl.partial: was begun with something else: `seed` was 17 and is "
                           "18; give the same again, or add --restart to begin anew"),
            std::string::npos)
      << refusal();
  facts_ = {{"seed", "17"}, {"model", "m"}};
  EXPECT_NE(refusal().find("`model` was not there and is m, `data` was abc and is not there"),
            std::string::npos)
      << refusal();
  EXPECT_EQ(text_of(partial_), "{\"a\":1}\n{\"a\":2}\n") << "nothing is lost by being refused";
}

TEST_F(ResumableJsonlTest, RestartBeginsAnew) {
  begin_work();
  facts_[0].second = "18";
  {
    ResumableJsonl file(options(true));
    EXPECT_FALSE(file.progress());
    EXPECT_EQ(text_of(partial_), "");
  }
  EXPECT_TRUE(names().empty()) << "nothing was done";
  ResumableJsonl file(options());
  EXPECT_FALSE(file.progress());
  file.finish();
  EXPECT_EQ(text_of(path_), "");
}

TEST_F(ResumableJsonlTest, AFileThatExistsIsKept) {
  set_text(path_, "precious\n");
  for (const bool restart : {false, true}) {
    EXPECT_NE(refusal(restart).find("exists; name another file"), std::string::npos);
  }
  EXPECT_EQ(names(), std::vector<std::string>{"out.jsonl"}) << "nothing is left behind";
  EXPECT_EQ(text_of(path_), "precious\n");
}

TEST_F(ResumableJsonlTest, KilledBeforeTidyingUpItIsDone) {
  begin_work();
  std::filesystem::rename(partial_, path_);
  ResumableJsonl file(options());
  EXPECT_TRUE(file.finished());
  EXPECT_EQ(JsonCursor(*file.progress(), "progress").at("rows").as_int(), 2);
  EXPECT_EQ(names(), std::vector<std::string>{"out.jsonl"});
}

TEST_F(ResumableJsonlTest, AnotherFileIsNotTakenForTheOneThatWasFinished) {
  begin_work();
  set_text(path_, "{\"a\":1}\n{\"a\":2}\n{}\n");
  EXPECT_NE(refusal().find("exists"), std::string::npos);
  EXPECT_EQ(text_of(partial_), "{\"a\":1}\n{\"a\":2}\n");
}

TEST_F(ResumableJsonlTest, ASecondWriterIsRefused) {
  ResumableJsonl file(options());
  EXPECT_NE(refusal().find("another process is writing it"), std::string::npos);
  EXPECT_NE(refusal(true).find("another process is writing it"), std::string::npos);
  file.finish();
}

TEST_F(ResumableJsonlTest, AFlippedBitInAnyByteAndEveryTruncationIsSeen) {
  begin_work();
  const std::string rows = text_of(partial_);
  const std::string state = text_of(state_);
  const auto expect_refused = [&](const std::filesystem::path& path, const std::string& text) {
    set_text(path, text);
    EXPECT_FALSE(refusal().empty());
  };
  for (const auto& [path, text] : {std::pair(partial_, rows), std::pair(state_, state)}) {
    for (std::size_t byte = 0; byte < text.size(); ++byte) {
      std::string damaged = text;
      damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << byte % 8));
      expect_refused(path, damaged);
    }
    for (std::size_t size = 0; size < text.size(); ++size)
      expect_refused(path, text.substr(0, size));
    set_text(path, text);
  }
  EXPECT_TRUE(ResumableJsonl(options()).progress());
}

TEST_F(ResumableJsonlTest, MissingAndForeignFilesAreRefused) {
  set_text(partial_, "not ours\n");
  EXPECT_NE(refusal().find("exists without out.jsonl.state; add --restart"), std::string::npos);
  EXPECT_EQ(text_of(partial_), "not ours\n");
  std::filesystem::remove(partial_);
  begin_work();
  std::filesystem::remove(partial_);
  EXPECT_NE(refusal().find("shorter than what was written"), std::string::npos);
  std::filesystem::create_directory(partial_);
  EXPECT_THROW(ResumableJsonl file(options()), Error);
}

}  // namespace
}  // namespace distill::io
