#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>
#include <distill/data/dataset.h>

#include "data/cache_format.h"
#include "data/cache_lock.h"
#include "support/byte_chat.h"
#include "support/byte_tokenizer.h"
#include "support/jsonl_file.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"
#include "support/token_files.h"

namespace distill::data {
namespace {

namespace fs = std::filesystem;
using testing::ByteTokenizer;
using testing::encoded;
using testing::message_of;
using testing::RecordingLogger;
using testing::TempFolder;

const std::string kKey(32, 'a');

std::string bytes_of(const fs::path& path) {
  return core::read_file(path, std::uint64_t{1} << 30);
}
void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::shared_ptr<const TokenFile> write_cache(const fs::path& path, int documents) {
  const auto writer = make_cache_writer(path, kKey);
  for (int i = 0; i < documents; ++i) writer->add(encoded(2 + i % 50, i % 3));
  ReadSummary summary;
  summary.rows_by_form[1] = documents;
  summary.skipped = 2;
  summary.first_skipped = {":3: bad", ":7:2: \"worse\"\xff"};
  return writer->finish(summary);
}

TEST(TokenCacheFile, GivesBackWhatWasAdded) {
  const TempFolder folder;
  const fs::path path = folder / "c.tokens";
  std::vector<EncodedDocument> documents;
  for (int i = 0; i < 200'000; ++i) documents.push_back(encoded(2 + i % 50, i % 3));
  const auto memory = testing::token_file(documents);
  const auto written = write_cache(path, 200'000);  // several pieces of words and documents
  const auto read = open_cache_file(path, kKey, 60, {});
  for (const auto& file : {written, read}) {
    EXPECT_TRUE(std::ranges::equal(file->words, memory->words));
    EXPECT_TRUE(std::ranges::equal(file->documents, memory->documents));
    EXPECT_EQ(file->checksum, memory->checksum);
    EXPECT_EQ(file->summary.rows_by_form[1], 200'000);
    EXPECT_EQ(file->summary.skipped, 2);
    EXPECT_EQ(file->summary.first_skipped[0], ":3: bad");
    EXPECT_TRUE(file->mapped);
  }
  EXPECT_EQ(core::list_folder(folder.path()).size(), 1u) << "nothing else is left";
}

TEST(TokenCacheFile, HasTheLayoutOfItsPage) {
  const TempFolder folder;
  const auto writer = make_cache_writer(folder / "c.tokens", kKey);
  writer->add(encoded(3, 1));
  writer->finish({});
  const std::string bytes = bytes_of(folder / "c.tokens");
  EXPECT_EQ(bytes.substr(0, 8), "DSTLTOK\n");
  EXPECT_EQ(bytes.substr(8, 8), std::string("\1\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(bytes.substr(16, 32), kKey);
  EXPECT_EQ(bytes.substr(64, 16), std::string("\1\0\0\0\2\0\0\x80\3\0\0\x80\0\0\0\0", 16));
  EXPECT_EQ(bytes.substr(80, 16), std::string("\3\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 16));
  EXPECT_EQ(bytes.substr(96, 8), "{\"rows\":");
  const std::string trailer = bytes.substr(bytes.size() - 128);
  EXPECT_EQ(trailer.substr(0, 16), std::string("\3\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 16));
}

TEST(TokenCacheFile, LabelsAreGivenBackAndMustBeThere) {
  const TempFolder folder;
  const auto write = [&](std::uint32_t label) {
    const auto writer = make_cache_writer(folder / "c.tokens", kKey);
    EncodedDocument document = encoded(3);
    document.label = label;
    writer->add(document);
    ReadSummary summary;
    summary.labels = {{"maths", 1}, {"\"code\"", 7}};
    return writer->finish(summary);
  };
  const auto file = write(2);
  EXPECT_EQ(file->documents[0].label, 2u);
  EXPECT_EQ(file->documents[0].targets, 2u);
  ASSERT_EQ(file->summary.labels.size(), 2u);
  EXPECT_EQ(file->summary.labels[1].name, "\"code\"");
  EXPECT_EQ(file->summary.labels[1].line, 7);
  EXPECT_NE(write(1)->checksum, file->checksum) << "what is learned from whom is another thing";
  EXPECT_THROW(write(3), CacheDamaged);
}

TEST(TokenCacheFile, EveryDamagedByteIsFound) {
  const TempFolder folder;
  const fs::path path = folder / "c.tokens";
  write_cache(path, 5);
  const std::string whole = bytes_of(path);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    write_bytes(path, damaged);
    const bool padding = damaged.substr(0, 64) == whole.substr(0, 64) && whole[at] == '\0' &&
                         at > 64 && at + 128 < whole.size();
    if (at < 8) {
      EXPECT_NE(message_of<FormatError>([&] {
                  open_cache_file(path, kKey, 60, {});
                }).find("not a token cache"),
                std::string::npos);
    } else if (!padding) {
      EXPECT_THROW(open_cache_file(path, kKey, 60, {}), CacheDamaged) << at;
    }
  }
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_bytes(path, whole.substr(0, size));
    EXPECT_THROW(open_cache_file(path, kKey, 60, {}), CacheDamaged) << size;
  }
  write_bytes(path, whole + std::string(8, '\0'));
  EXPECT_THROW(open_cache_file(path, kKey, 60, {}), CacheDamaged);
  write_bytes(path, whole);
  EXPECT_THROW(open_cache_file(path, std::string(32, 'b'), 60, {}), CacheDamaged);
  EXPECT_THROW(open_cache_file(path, kKey, 6, {}), CacheDamaged) << "ids outside the vocabulary";
  EXPECT_EQ(open_cache_file(path, kKey, 60, {})->documents.size(), 5u);
}

TEST(TokenCacheFile, HugeNumbersAllocateNothing) {
  const TempFolder folder;
  const fs::path path = folder / "c.tokens";
  write_cache(path, 1);
  const std::string whole = bytes_of(path);
  for (const std::size_t field : {0, 8, 16}) {
    std::string damaged = whole;
    for (int i = 0; i < 8; ++i) damaged[whole.size() - 128 + field + i] = '\xff';
    write_bytes(path, damaged);
    EXPECT_NE(message_of<CacheDamaged>([&] {
                open_cache_file(path, kKey, 60, {});
              }).find("its parts do not fit its size"),
              std::string::npos);
  }
}

TEST(TokenCacheFile, AWriterThatIsGivenUpLeavesNothing) {
  const TempFolder folder;
  make_cache_writer(folder / "c.tokens", kKey)->add(encoded(3));
  EXPECT_TRUE(core::list_folder(folder.path()).empty());
}

TEST(TokenCacheFile, FinishingCanBeStopped) {
  struct Stop {};
  const TempFolder folder;
  auto writer = make_cache_writer(folder / "c.tokens", kKey, [] { throw Stop{}; });
  writer->add(encoded(3));
  EXPECT_THROW(writer->finish({}), Stop);
  writer.reset();
  EXPECT_TRUE(core::list_folder(folder.path()).empty());
  int parts = 0;
  const auto other = make_cache_writer(folder / "c.tokens", kKey, [&] { ++parts; });
  other->add(encoded(3));
  other->finish({});
  EXPECT_GE(parts, 3) << "while documents are copied, and while words and documents are checked";
}

TEST(CacheLock, LetsOneInAndTheOthersWait) {
  const TempFolder folder;
  std::atomic<int> inside = 0;
  std::atomic<int> waited = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      const CacheLock lock(folder / "x.lock", [&] { ++waited; });
      EXPECT_EQ(++inside, 1);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      --inside;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_GT(waited, 0);
  EXPECT_TRUE(core::list_folder(folder.path()).empty());
}

class TokenCacheTest : public ::testing::Test {
 protected:
  TokenCacheTest() { options_.cache = (folder_ / "cache").string(); }

  std::shared_ptr<const Dataset> load(const std::string& file = "") {
    return Dataset::load({{file.empty() ? file_ : file, 1.0}}, options_, tokenizer_, &chat_, log_);
  }
  std::vector<fs::path> entries() const { return core::list_folder(folder_ / "cache"); }

  TempFolder folder_;
  std::string file_ = testing::write_lines(
      folder_ / "d.jsonl",
      {R"({"text": "one"})", R"({"messages": [{"role": "assistant", "content": "two"}]})"});
  DataOptions options_;
  ByteTokenizer tokenizer_;
  testing::ByteChat chat_;
  RecordingLogger log_;
};

TEST_F(TokenCacheTest, ServesTheSameContentUnderAnyName) {
  const auto first = load();
  EXPECT_FALSE(log_.has("(cached)"));
  ASSERT_EQ(entries().size(), 1u);
  EXPECT_EQ(entries()[0].extension(), ".tokens");
  fs::copy_file(file_, folder_ / "other.jsonl");
  const auto second = load((folder_ / "other.jsonl").string());
  EXPECT_TRUE(log_.has("(cached)"));
  EXPECT_EQ(second->fingerprint(), first->fingerprint());
  options_.cache = "off";
  EXPECT_EQ(load()->fingerprint(), first->fingerprint()) << "in memory the rows are the same";
  EXPECT_EQ(entries().size(), 1u);
}

TEST_F(TokenCacheTest, WhatChangesIdsHasAnEntryOfItsOwn) {
  load();
  tokenizer_ = ByteTokenizer({.has_eos = false, .adds_bos = false});
  load();
  EXPECT_EQ(entries().size(), 2u) << "another end of text";
  tokenizer_ = ByteTokenizer({.has_eos = true, .adds_bos = true});
  load();
  EXPECT_EQ(entries().size(), 3u) << "another tokenizer";
  struct Spaced : testing::ByteChat {
    std::vector<text::ChatSpan> render(const std::vector<text::ChatMessage>& messages,
                                       bool prompt) const override {
      auto spans = ByteChat::render(messages, prompt);
      for (auto& span : spans) span.text += ' ';
      return spans;
    }
  };
  Dataset::load({{file_, 1.0}}, options_, tokenizer_, std::make_unique<Spaced>().get(), log_);
  EXPECT_EQ(entries().size(), 4u) << "a template of the same name that writes otherwise";
  std::ofstream(file_, std::ios::app) << R"({"text": "three"})" << '\n';
  load();
  EXPECT_EQ(entries().size(), 5u) << "other content";
  options_.sequence_length = 16;
  options_.long_documents = LongDocuments::kDrop;
  options_.packing = false;
  load();
  EXPECT_EQ(entries().size(), 5u) << "cutting and packing change no ids";
}

TEST_F(TokenCacheTest, ADamagedEntryIsBuiltAnew) {
  const std::string fingerprint = load()->fingerprint();
  const fs::path entry = entries().at(0);
  const std::string whole = bytes_of(entry);
  for (const std::string& damaged :
       {whole.substr(0, 100), whole.substr(0, 70) + "x" + whole.substr(71),
        whole.substr(0, 8) + "\x09" + whole.substr(9), whole.substr(0, 63), whole.substr(0, 20),
        std::string()}) {
    write_bytes(entry, damaged);
    EXPECT_EQ(load()->fingerprint(), fingerprint);
    EXPECT_EQ(std::ranges::count_if(log_.lines,
                                    [](const auto& line) {
                                      return line.find("; it is built anew") != std::string::npos;
                                    }),
              1);
    EXPECT_EQ(bytes_of(entry), whole);
    log_.lines.clear();
  }
}

TEST_F(TokenCacheTest, AForeignFileIsLeftAlone) {
  load();
  const fs::path entry = entries().at(0);
  write_bytes(entry, "a diary");
  EXPECT_NE(message_of<FormatError>([&] { load(); }).find("not a token cache"), std::string::npos);
  EXPECT_EQ(bytes_of(entry), "a diary");
}

TEST_F(TokenCacheTest, LeftoversOfAKilledBuilderAreRemoved) {
  load();
  const fs::path entry = entries().at(0);
  fs::rename(entry, entry.string() + ".tmp-12345");
  std::ofstream(folder_ / "cache/another.tokens.tmp-1") << "x";
  load();
  EXPECT_EQ(entries(), (std::vector<fs::path>{entry, folder_ / "cache/another.tokens.tmp-1"}));
}

TEST_F(TokenCacheTest, BadRowsAreRememberedWhateverThePolicyWas) {
  file_ = testing::write_lines(folder_ / "bad.jsonl", {R"({"text": "a"})", "{", R"({"text": 1})"});
  EXPECT_THROW(load(), FormatError);
  EXPECT_TRUE(entries().empty()) << "nothing half-read is kept";
  options_.on_bad_sample = OnBadSample::kSkip;
  load();
  EXPECT_EQ(load()->report().skipped, 2);
  EXPECT_TRUE(log_.has("(cached)"));
  options_.on_bad_sample = OnBadSample::kError;
  EXPECT_TRUE(message_of<FormatError>([&] { load(); }).starts_with(file_ + ":2:2: "));
}

TEST_F(TokenCacheTest, SeveralBuildersAtOnceGiveTheSame) {
  std::vector<std::string> lines;
  for (int i = 0; i < 5000; ++i) lines.push_back(core::concat(R"({"text": "row )", i, "\"}"));
  file_ = testing::write_lines(folder_ / "many.jsonl", lines);
  std::vector<std::string> fingerprints(6);
  std::vector<std::thread> threads;
  for (auto& fingerprint : fingerprints) {
    threads.emplace_back([&] {
      RecordingLogger log;
      fingerprint = Dataset::load({{file_, 1.0}}, options_, tokenizer_, &chat_, log)->fingerprint();
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& fingerprint : fingerprints) EXPECT_EQ(fingerprint, fingerprints[0]);
  EXPECT_EQ(entries().size(), 1u);
}

TEST_F(TokenCacheTest, AFolderThatTheUserNamedMustWorkTheDefaultNeedNot) {
  write_bytes(folder_ / "cache", "a file where the folder should be");
  EXPECT_THROW(load(), Error);
  options_.cache = "auto";
  const auto data = Dataset::load(
      {{file_, 1.0}}, options_,
      RowReading{
          .tokenizer = tokenizer_, .chat = &chat_, .cache_folder = (folder_ / "cache").string()},
      log_);
  EXPECT_EQ(data->report().documents, 2);
  EXPECT_TRUE(log_.has("the tokens are held in memory instead"));
}

TEST_F(TokenCacheTest, AFileThatChangesMeanwhileIsRefused) {
  const RowReading reading{.tokenizer = tokenizer_, .chat = &chat_, .between_rows = [this] {
                             std::ofstream(file_, std::ios::app) << "{\"text\": \"x\"}\n";
                           }};
  EXPECT_NE(message_of<InputError>([&] {
              Dataset::load({{file_, 1.0}}, options_, reading, log_);
            }).find("changed while it was read"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::data
