#include <distill/data/dataset.h>

#include <algorithm>
#include <cctype>
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
  options_.min_packing_use = 0;
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
  EXPECT_GE(used, 0.98);
}

/// The row's one document as text, what is to be learned in capitals.
std::string shown(const Row& row) {
  std::string text;
  for (std::size_t i = 0; i < row.ids.size(); ++i) {
    const char c = row.ids[i] == ByteTokenizer::kEndOfTurn ? '|'
                   : row.ids[i] == kEos                    ? '.'
                   : row.ids[i] == kBos                    ? '^'
                                                           : static_cast<char>(row.ids[i]);
    text += row.is_target[i] ? (c == '|'   ? '!'
                                : c == '.' ? '#'
                                           : static_cast<char>(std::toupper(c)))
                             : c;
  }
  return text;
}

TEST_F(DatasetTest, ReadsEveryFormOfRow) {
  options_.packing = false;
  const std::string turns = R"({"from": "human", "value": "q"}, {"from": "gpt", "value": "yes"})";
  const auto data = load({
      R"({"text": "abc"})",
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "yes"}]})",
      R"({"conversations": [)" + turns + "]}",
      R"({"conversations": [)" + turns + R"(], "system": "s", "tools": ""})",
      R"({"prompt": "q: ", "completion": "yes"})",
      R"({"prompt": "", "completion": "yes"})",
      R"({"instruction": "do", "output": "yes"})",
      R"({"instruction": "do", "input": "", "output": "yes", "history": []})",
      R"({"instruction": "do", "input": "it", "output": "yes", "system": "s"})",
  });
  const std::vector<std::string> expected = {
      "ABC#",
      "[user]q|[assistant]YES!",
      "[user]q|[assistant]YES!",
      "[system]s|[user]q|[assistant]YES!",
      "q: YES#",
      "YES#",
      "[user]do|[assistant]YES!",
      "[user]do|[assistant]YES!",
      "[system]s|[user]do\n\nit|[assistant]YES!",
  };
  ASSERT_EQ(data->num_rows(), std::ssize(expected));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(shown(data->row(static_cast<std::int64_t>(i))), expected[i]) << i;
  }
  EXPECT_TRUE(data->report().has_conversations);
}

TEST_F(DatasetTest, ACompletionHasWhatThePostProcessorAdds) {
  tokenizer_ = ByteTokenizer({.has_eos = true, .adds_bos = true});
  EXPECT_EQ(shown(load({R"({"prompt": "a", "completion": "b"})"})->row(0)), "^aB#");
  // A special token that is written out belongs to where its bytes stand.
  EXPECT_EQ(shown(load({R"({"prompt": "a<eos>", "completion": "b<eos>"})"})->row(0)), "^a.B#");
}

TEST_F(DatasetTest, LongDocumentsFollowThePolicyAndAreCounted) {
  options_.sequence_length = 4;
  const std::vector<std::string> lines = {R"({"text": "abc"})", R"({"text": "defghij"})"};
  const auto split = load(lines);
  EXPECT_EQ(split->num_tokens(), 12);
  EXPECT_EQ(split->report().long_documents, 1);
  EXPECT_EQ(split->report().tokens_cut_off, 0);
  options_.long_documents = LongDocuments::kTruncate;
  const auto truncated = load(lines);
  EXPECT_EQ(truncated->num_tokens(), 8);
  EXPECT_EQ(truncated->row(1).ids, (Ids{'d', 'e', 'f', 'g'}));
  EXPECT_EQ(truncated->report().tokens_cut_off, 4);
  EXPECT_NEAR(truncated->report().truncated(), 4.0 / 12, 1e-12);
  EXPECT_TRUE(log_.has("cut off 4 tokens of 1 long documents"));
  options_.long_documents = LongDocuments::kDrop;
  const auto dropped = load(lines);
  EXPECT_EQ(dropped->num_tokens(), 4);
  EXPECT_EQ(dropped->report().tokens_cut_off, 8);
}

TEST_F(DatasetTest, ReportsLengthsAndTheMix) {
  std::vector<std::string> lines;
  for (int size = 1; size <= 100; ++size) {
    lines.push_back(R"({"text": ")" + std::string(static_cast<std::size_t>(size), 'a') + "\"}");
  }
  const auto a = write_lines(folder_ / "a.jsonl", lines);
  const auto b = write_lines(folder_ / "b.jsonl", {R"({"text": "xyz"})"});
  const auto data = load_files({{a, 1.0}, {b, 2.5}});
  const DataReport& report = data->report();
  EXPECT_EQ(report.documents, 101);
  EXPECT_EQ(report.shortest, 2);
  EXPECT_EQ(report.median, 51);  // the 51st of 101: 2 3 4 4 5 ...
  EXPECT_EQ(report.longest, 101);
  EXPECT_EQ(report.percentile_95, 96);
  ASSERT_EQ(report.files.size(), 2u);
  EXPECT_EQ(report.files[0].seen_documents, 100);
  EXPECT_EQ(report.files[0].seen_tokens, 5150);
  EXPECT_EQ(report.files[1].seen_documents, 3);  // 2.5 times one: rounded
  EXPECT_EQ(report.files[1].seen_tokens, 12);
  EXPECT_EQ(report.tokens, data->num_tokens());
  EXPECT_EQ(report.positions, data->num_rows() * options_.sequence_length);
}

TEST_F(DatasetTest, ManyThreadsGiveTheSameRowsAndTheFirstError) {
  std::vector<std::string> lines;
  core::RandomState random(3);
  for (int i = 0; i < 20000; ++i) {
    lines.push_back(
        core::concat(R"({"text": ")", i, " ", std::string(1 + random.below(40), 'x'), "\"}"));
  }
  const auto path = write_lines(folder_ / "d.jsonl", lines);
  const auto load_with = [&](std::int64_t threads) {
    return Dataset::load({{path, 1.0}}, options_,
                         RowReading{.tokenizer = tokenizer_, .threads = threads}, log_);
  };
  const auto one = load_with(1);
  EXPECT_EQ(one->report().documents, 20000);
  EXPECT_EQ(load_with(7)->fingerprint(), one->fingerprint());
  lines[15000] = "late";
  lines[4321] = "early";
  write_lines(folder_ / "d.jsonl", lines);
  for (int round = 0; round < 5; ++round) {
    EXPECT_TRUE(
        testing::message_of<FormatError>([&] { load_with(7); }).starts_with(path + ":4322:1: "));
  }
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

TEST_F(DatasetTest, SegmentsCarryTheLabelOfTheirFile) {
  const auto a = write_lines(folder_ / "a.jsonl", {R"({"text": "aaa"})", R"({"text": "b"})"});
  const auto z = write_lines(folder_ / "z.jsonl", {R"({"text": "z"})"});
  const auto none = load_files({{a, 1.0}, {z, 1.0}});
  EXPECT_TRUE(none->row(0).labels.empty());
  const auto data = load_files({{a, 1.0, "letters"}, {z, 1.0}});
  std::string seen;
  for (std::int64_t r = 0; r < data->num_rows(); ++r) {
    const Row row = data->row(r);
    ASSERT_EQ(row.labels.size() + 1, row.segments.size());
    for (std::size_t s = 0; s < row.labels.size(); ++s) {
      seen += static_cast<char>(row.ids[static_cast<std::size_t>(row.segments[s])]);
      EXPECT_EQ(row.labels[s], seen.back() == 'z' ? "" : "letters");
    }
  }
  std::ranges::sort(seen);
  EXPECT_EQ(seen, "abz");
  EXPECT_EQ(data->first_rows(1)->row(0).labels, data->row(0).labels);
}

TEST_F(DatasetTest, SegmentsCarryTheLabelOfTheirRow) {
  options_.sequence_length = 8;
  options_.min_packing_use = 0;
  const auto a =
      write_lines(folder_ / "a.jsonl",
                  {R"({"text": "m1", "subject": "maths"})", R"({"subject": "code", "text": "c2"})",
                   R"({"text": "mmmmmmmmmmmmmm", "subject": "maths"})"});
  const auto z = write_lines(folder_ / "z.jsonl", {R"({"text": "z"})"});
  const std::vector<DataFile> files = {{a, 1.0, "", "subject"}, {z, 1.0, "rest"}};
  const auto in_memory = load_files(files);
  const auto& labels = in_memory->report().files[0].row_labels;
  ASSERT_EQ(labels.size(), 2u);
  EXPECT_EQ(labels[0].name, "maths");
  EXPECT_EQ(labels[1].name, "code");
  EXPECT_EQ(labels[1].line, 2);
  EXPECT_TRUE(in_memory->report().files[1].row_labels.empty());
  options_.cache = (folder_ / "cache").string();
  const auto built = load_files(files);
  const auto cached = load_files(files);
  std::int64_t pieces = 0;
  for (const auto& data : {in_memory, built, cached}) {
    EXPECT_EQ(data->fingerprint(), in_memory->fingerprint());
    for (std::int64_t r = 0; r < data->num_rows(); ++r) {
      const Row row = data->row(r);
      ASSERT_EQ(row.labels.size() + 1, row.segments.size());
      for (std::size_t s = 0; s < row.labels.size(); ++s) {
        const auto first = row.ids[static_cast<std::size_t>(row.segments[s])];
        EXPECT_EQ(row.labels[s], first == 'm' ? "maths" : first == 'c' ? "code" : "rest");
        ++pieces;
      }
    }
  }
  EXPECT_EQ(pieces, 3 * 5) << "each piece of a long document has the label of its row";
  EXPECT_TRUE(load_files({{a, 1.0}})->row(0).labels.empty());
}

TEST_F(DatasetTest, RowsWithoutTheirLabelAreNamed) {
  const auto a =
      write_lines(folder_ / "a.jsonl",
                  {R"({"text": "one", "subject": "maths"})", R"({"text": "two", "topic": "maths"})",
                   R"({"text": "three", "subject": 3})", R"({"text": "four", "subject": ""})"});
  const std::vector<DataFile> files = {{a, 1.0, "", "subject"}};
  EXPECT_EQ(testing::message_of<FormatError>([&] { load_files(files); }),
            a + ":2: has no member `subject`, which `label_field` says holds its label; found "
                "`text`, `topic`");
  options_.on_bad_sample = OnBadSample::kSkip;
  const auto data = load_files(files);
  EXPECT_EQ(data->report().skipped, 3);
  EXPECT_EQ(data->row(0).labels, std::vector<std::string>{"maths"});
  EXPECT_NE(testing::message_of<ConfigError>([&] {
              load_files({{a, 1.0, "maths", "subject"}});
            }).find("`label_field` is given beside `label`"),
            std::string::npos);
}

TEST_F(DatasetTest, AMemberWithManyValuesIsNoLabel) {
  std::vector<std::string> lines;
  for (int i = 0; i < 1001; ++i) {
    lines.push_back(core::concat(R"({"text": "abc", "id": "row )", i, R"("})"));
  }
  const auto path = write_lines(folder_ / "a.jsonl", lines);
  EXPECT_EQ(testing::message_of<FormatError>([&] {
              load_files({{path, 1.0, "", "id"}});
            }),
            path +
                ":1001: brings a label beyond the first 1000; `label_field` must name a member "
                "with few values");
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
