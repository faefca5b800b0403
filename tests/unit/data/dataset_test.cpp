#include <distill/data/dataset.h>

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/random.h>

#include "support/byte_chat.h"
#include "support/byte_tokenizer.h"
#include "support/jsonl_file.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"

namespace distill::data {
namespace {

using testing::ByteTokenizer;
using testing::write_lines;
using Ids = std::vector<std::int64_t>;
using Flags = std::vector<bool>;

constexpr std::int64_t kBos = ByteTokenizer::kBos;
constexpr std::int64_t kEos = ByteTokenizer::kEos;

class DatasetTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dataset> load(const std::vector<std::string>& lines) {
    return load_files({{write_lines(folder_ / "d.jsonl", lines), 1.0}});
  }
  std::shared_ptr<const Dataset> load_files(const std::vector<DataFile>& files) {
    return Dataset::load(files, options_, tokenizer_, &chat_, log_);
  }

  testing::TempFolder folder_;
  DataOptions options_;
  ByteTokenizer tokenizer_;
  testing::ByteChat chat_;
  testing::RecordingLogger log_;
};

TEST_F(DatasetTest, TextBecomesIdsWithAnEndAndIsAllTargets) {
  const auto data = load({R"({"text": "ab"})"});
  ASSERT_EQ(data->num_rows(), 1);
  const Row row = data->row(0);
  EXPECT_EQ(row.ids, (Ids{'a', 'b', kEos}));
  EXPECT_EQ(row.is_target, (Flags{true, true, true}));
  EXPECT_EQ(row.segments, (Ids{0, 3}));
  EXPECT_EQ(data->num_tokens(), 3);
  EXPECT_EQ(data->num_targets(), 2);
}

TEST_F(DatasetTest, ChatTargetsAreTheAssistantsWordsAndEndOfTurn) {
  const auto data = load({R"({"messages": [{"role": "user", "content": "q"}, )"
                          R"({"role": "assistant", "content": "ok"}, )"
                          R"({"role": "user", "content": "r"}, )"
                          R"({"role": "assistant", "content": "s"}]})"});
  ASSERT_EQ(data->num_rows(), 1);
  const Row row = data->row(0);
  const std::string whole = "[user]q|[assistant]ok|[user]r|[assistant]s|";
  std::string ids;
  std::string targets;
  for (std::size_t i = 0; i < row.ids.size(); ++i) {
    ids += row.ids[i] == ByteTokenizer::kEndOfTurn ? '|' : static_cast<char>(row.ids[i]);
    targets += row.is_target[i] ? '#' : ' ';
  }
  EXPECT_EQ(ids, whole);
  EXPECT_EQ(targets, "                   ###                   ##");
  EXPECT_EQ(data->num_targets(), 5);
}

TEST_F(DatasetTest, TheTokenizersOwnSpecialTokensAreUsedAndNotDoubled) {
  tokenizer_ = ByteTokenizer({.has_eos = true, .adds_bos = true});
  EXPECT_EQ(load({R"({"text": "a"})"})->row(0).ids, (Ids{kBos, 'a', kEos}));
  EXPECT_EQ(load({R"({"text": "a<eos>"})"})->row(0).ids, (Ids{kBos, 'a', kEos}));
  tokenizer_ = ByteTokenizer({.has_eos = false, .adds_bos = false});
  EXPECT_EQ(load({R"({"text": "ab"})"})->row(0).ids, (Ids{'a', 'b'}));
}

TEST_F(DatasetTest, PacksDocumentsAsSegmentsOfARow) {
  options_.sequence_length = 8;
  const auto data = load({R"({"text": "abc"})", R"({"text": "defghi"})", R"({"text": "jk"})"});
  ASSERT_EQ(data->num_rows(), 2);
  EXPECT_EQ(data->row(0).ids, (Ids{'a', 'b', 'c', kEos, 'j', 'k', kEos}));
  EXPECT_EQ(data->row(0).segments, (Ids{0, 4, 7}));
  EXPECT_EQ(data->row(1).ids, (Ids{'d', 'e', 'f', 'g', 'h', 'i', kEos}));
  EXPECT_EQ(data->num_targets(), 3 + 2 + 6);
  EXPECT_TRUE(log_.has(
      "2 rows of up to 8 tokens: 3 documents, 14 tokens (87.5 % of the positions), 11 to learn"))
      << log_.lines.back();
}

TEST_F(DatasetTest, WithoutPackingARowIsADocumentOrAPiece) {
  options_.sequence_length = 4;
  options_.packing = false;
  const auto data = load({R"({"text": "a"})", R"({"text": "bcdefg"})"});
  ASSERT_EQ(data->num_rows(), 3);
  EXPECT_EQ(data->row(0).ids, (Ids{'a', kEos}));
  EXPECT_EQ(data->row(1).ids, (Ids{'b', 'c', 'd', 'e'}));
  EXPECT_EQ(data->row(2).ids, (Ids{'f', 'g', kEos}));
  EXPECT_EQ(data->row(2).segments, (Ids{0, 3}));
}

TEST_F(DatasetTest, PiecesWithoutTargetsAreLeftOutAndCounted) {
  options_.sequence_length = 8;
  options_.packing = false;
  // `[user]` + 10 + end = 17 tokens of which none is to be learned, then `[assistant]` + `y` + end.
  const auto data = load({R"({"messages": [{"role": "user", "content": "0123456789"}, )"
                          R"({"role": "assistant", "content": "y"}]})"});
  // 17 + 11 + 2 = 30 tokens: pieces of 8, 8, 8 and 6; only the last holds something to learn.
  ASSERT_EQ(data->num_rows(), 1);
  EXPECT_EQ(data->row(0).ids, (Ids{'a', 'n', 't', ']', 'y', ByteTokenizer::kEndOfTurn}));
  EXPECT_EQ(data->row(0).is_target, (Flags{false, false, false, false, true, true}));
  EXPECT_TRUE(log_.has("left out 24 tokens in pieces with nothing to learn"));
}

TEST_F(DatasetTest, EveryTokenOfRandomDocumentsIsThereOnceAndInOrder) {
  core::RandomState random(11);
  options_.sequence_length = 64;
  std::vector<std::string> lines;
  std::map<Ids, int> expected;  // pieces
  for (int i = 0; i < 1000; ++i) {
    std::string text;
    const auto size = 1 + random.below(150);
    for (std::uint64_t c = 0; c < size; ++c) text += static_cast<char>('a' + random.below(26));
    lines.push_back(R"({"text": ")" + text + "\"}");
    Ids ids(text.begin(), text.end());
    ids.push_back(kEos);
    // Cut by hand: pieces of 64, and never one token alone at the end.
    for (std::size_t begin = 0; begin < ids.size();) {
      std::size_t taken = std::min<std::size_t>(64, ids.size() - begin);
      if (ids.size() - begin - taken == 1) --taken;
      ++expected[Ids(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                     ids.begin() + static_cast<std::ptrdiff_t>(begin + taken))];
      begin += taken;
    }
  }
  const auto data = load(lines);
  std::map<Ids, int> found;
  for (std::int64_t r = 0; r < data->num_rows(); ++r) {
    const Row row = data->row(r);
    EXPECT_LE(row.ids.size(), 64u);
    EXPECT_EQ(std::ranges::count(row.is_target, true), static_cast<std::int64_t>(row.ids.size()));
    for (std::size_t s = 0; s + 1 < row.segments.size(); ++s) {
      ++found[Ids(row.ids.begin() + row.segments[s], row.ids.begin() + row.segments[s + 1])];
    }
  }
  EXPECT_EQ(found, expected);
  const double used =
      static_cast<double>(data->num_tokens()) / (64.0 * static_cast<double>(data->num_rows()));
  EXPECT_GE(used, 0.95);
}

TEST_F(DatasetTest, WeightsRepeatDocuments) {
  options_.packing = false;
  const auto a = write_lines(folder_ / "a.jsonl", {R"({"text": "a"})", R"({"text": "b"})"});
  const auto z = write_lines(folder_ / "z.jsonl", {R"({"text": "z"})"});
  const auto data = load_files({{a, 1.0}, {z, 3.0}});
  std::string seen;
  for (std::int64_t r = 0; r < data->num_rows(); ++r)
    seen += static_cast<char>(data->row(r).ids[0]);
  EXPECT_EQ(seen, "abzzz");
  EXPECT_EQ(data->num_tokens(), 10);
}

TEST_F(DatasetTest, TheFingerprintDependsOnIdsTargetsAndSegments) {
  options_.sequence_length = 16;
  const std::vector<std::string> lines = {R"({"text": "abcd"})", R"({"text": "efg"})"};
  const auto fingerprint = load(lines)->fingerprint();
  EXPECT_EQ(fingerprint.size(), 32u);
  EXPECT_EQ(load(lines)->fingerprint(), fingerprint);
  EXPECT_NE(load({lines[0], R"({"text": "efh"})"})->fingerprint(), fingerprint);
  EXPECT_NE(load({lines[1], lines[0]})->fingerprint(), fingerprint);
  options_.packing = false;
  EXPECT_NE(load(lines)->fingerprint(), fingerprint);
  // The same ids, other targets.
  const auto chat = load({R"({"messages": [{"role": "assistant", "content": "x"}]})"});
  const auto text = load({R"({"text": "[assistant]x<|im_end|>"})"});
  tokenizer_ = ByteTokenizer({.has_eos = false, .adds_bos = false});
  const auto same_ids = load({R"({"text": "[assistant]x<|im_end|>"})"});
  EXPECT_EQ(same_ids->row(0).ids, chat->row(0).ids);
  EXPECT_NE(same_ids->fingerprint(), chat->fingerprint());
  EXPECT_NE(text->fingerprint(), same_ids->fingerprint());
}

TEST_F(DatasetTest, FirstRowsAreAViewOfTheBeginning) {
  options_.packing = false;
  const auto all = load({R"({"text": "a"})", R"({"text": "bcd"})", R"({"text": "e"})"});
  const auto two = all->first_rows(2);
  EXPECT_EQ(two->num_rows(), 2);
  EXPECT_EQ(two->num_tokens(), 6);
  EXPECT_EQ(two->num_targets(), 4);
  EXPECT_EQ(two->row(1).ids, all->row(1).ids);
  EXPECT_NE(two->fingerprint(), all->fingerprint());
  EXPECT_EQ(all->first_rows(99)->fingerprint(), all->fingerprint());
  EXPECT_EQ(all->first_rows(0)->num_rows(), 0);
  EXPECT_THROW(two->row(2), InputError);
  EXPECT_THROW(two->row(-1), InputError);
}

TEST_F(DatasetTest, RefusesOptionsARecipeWouldRefuse) {
  const auto path = write_lines(folder_ / "d.jsonl", {R"({"text": "ab"})"});
  EXPECT_EQ(testing::message_of<ConfigError>([&] {
              load_files({{path, 0.0}});
            }),
            "data: `weight` must be a positive number, it is 0");
  EXPECT_EQ(testing::message_of<ConfigError>([&] { load_files({}); }),
            "data files: must name at least one file");
  EXPECT_EQ(testing::message_of<ConfigError>([&] {
              load_files({{path, 1}, {path, 1e9}});
            }),
            "data files: weights must lie within a factor of 1000, they go from 1 to 1e+09");
  options_.sequence_length = 1;
  EXPECT_THROW(load_files({{path, 1}}), ConfigError);
}

TEST_F(DatasetTest, NothingToLearnIsAnError) {
  const auto empty = write_lines(folder_ / "empty.jsonl", {});
  EXPECT_EQ(testing::message_of<InputError>([&] {
              load_files({{empty, 1}});
            }),
            empty + ": nothing to learn from, expected a document of at least two tokens");
  tokenizer_ = ByteTokenizer({.has_eos = false, .adds_bos = false});
  EXPECT_THROW(load({R"({"text": "a"})"}), InputError);
}

}  // namespace
}  // namespace distill::data
