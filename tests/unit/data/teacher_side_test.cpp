// Rows for a student and for a teacher with another tokenizer.
#include <algorithm>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/data/dataset.h>
#include <distill/data/make_batch.h>
#include <distill/types/teacher_tokens.h>

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
using Chunks = std::vector<text::TokenChunk>;

/// Pairs of letters are one id, 300 + 26 a + b, from the left; all else are bytes.
class PairTokenizer : public ByteTokenizer {
 public:
  using ByteTokenizer::ByteTokenizer;
  static bool is_letter(std::int64_t id) { return id >= 'a' && id <= 'z'; }
  text::TokenIds encode(std::string_view text, bool special, bool parse) const override {
    text::TokenIds ids;
    for (const std::int64_t id : ByteTokenizer::encode(text, special, parse)) {
      if (!ids.empty() && is_letter(id) && is_letter(ids.back())) {
        ids.back() = 300 + 26 * (ids.back() - 'a') + id - 'a';
      } else {
        ids.push_back(id);
      }
    }
    return ids;
  }
  std::string token_bytes(std::int64_t id) const override {
    if (id < 300) return ByteTokenizer::token_bytes(id);
    return {static_cast<char>('a' + (id - 300) / 26), static_cast<char>('a' + (id - 300) % 26)};
  }
  std::int64_t vocab_size() const override { return 300 + 26 * 26; }
  std::string fingerprint() const override { return "pairs"; }
};

class LongChat : public testing::ByteChat {
 public:
  std::vector<text::ChatSpan> render(const std::vector<text::ChatMessage>& messages,
                                     bool prompt) const override {
    auto spans = ByteChat::render(messages, prompt);
    for (auto& span : spans) {
      if (!span.is_target) span.text = "<|im_start|>" + span.text + "\n";
    }
    return spans;
  }
};

class TeacherSideTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dataset> load(const std::vector<std::string>& lines) {
    const std::string path = write_lines(folder_ / "d.jsonl", lines);
    TeacherReading teacher{teacher_, &teacher_chat_};
    teacher.max_positions = max_positions_;
    RowReading reading{student_, &chat_};
    reading.teacher = &teacher;
    return Dataset::load({{path, 1.0}}, options_, reading, log_);
  }

  testing::TempFolder folder_;
  DataOptions options_;
  PairTokenizer student_;
  ByteTokenizer teacher_{{.has_eos = true, .adds_bos = true}};
  testing::ByteChat chat_;
  LongChat teacher_chat_;
  testing::RecordingLogger log_;
  std::int64_t max_positions_ = 1000;
};

/// The text of a chunk, which both must spell.
std::string spelled(const Row& row, const text::TokenChunk& chunk, const PairTokenizer& student,
                    const ByteTokenizer& teacher) {
  std::string own;
  std::string other;
  for (auto i = chunk.student_begin; i < chunk.student_end; ++i) {
    own += student.token_bytes(row.ids[static_cast<std::size_t>(i)]);
  }
  for (auto i = chunk.teacher_begin; i < chunk.teacher_end; ++i) {
    other += teacher.token_bytes(row.teacher->ids[static_cast<std::size_t>(i)]);
  }
  EXPECT_EQ(own, other);
  return own;
}

TEST_F(TeacherSideTest, TextsArePairedTokenForToken) {
  const auto data = load({R"({"text": "abcd e"})"});
  const Row row = data->row(0);
  ASSERT_TRUE(row.teacher.has_value());
  EXPECT_EQ(row.ids.size(), 5u);           // ab cd ' ' e <eos>
  EXPECT_EQ(row.teacher->ids.size(), 8u);  // <bos> a b c d ' ' e <eos>
  EXPECT_EQ(row.teacher->segments, (Ids{0, 8}));
  EXPECT_EQ(
      row.teacher->chunks,
      (Chunks{{1, 2, 3, 5, true}, {2, 3, 5, 6, true}, {3, 4, 6, 7, true}, {4, 5, 7, 8, true}}))
      << "the first token of the student is predicted by none";
  const Coverage coverage = data->coverage(10);
  EXPECT_EQ(coverage.targets, 4);
  EXPECT_EQ(coverage.covered, 4);
  EXPECT_EQ(coverage.share(), 1.0);
  EXPECT_EQ(coverage.teacher_tokens, 8);
}

TEST_F(TeacherSideTest, PiecesOfLongDocumentsBeginAtACommonBorder) {
  options_.sequence_length = 5;
  options_.packing = false;
  const std::string text = "abcdefghijklmnopqrst uvw xyz abcd efgh";
  const auto data = load({R"({"text": ")" + text + R"("})"});
  ASSERT_GT(data->num_rows(), 3);
  std::string covered;
  for (std::int64_t i = 0; i < data->num_rows(); ++i) {
    const Row row = data->row(i);
    ASSERT_FALSE(row.teacher->chunks.empty());
    EXPECT_EQ(row.teacher->chunks.front().student_begin, 1);
    EXPECT_EQ(row.teacher->chunks.back().student_end, std::ssize(row.ids));
    EXPECT_EQ(row.teacher->chunks.back().teacher_end, std::ssize(row.teacher->ids));
    EXPECT_EQ(row.teacher->ids.front(), ByteTokenizer::kBos) << "in the middle too";
    // The teacher has read what the student has: the first token of the piece.
    const std::string first = student_.token_bytes(row.ids.front());
    const auto begin = static_cast<std::size_t>(row.teacher->chunks.front().teacher_begin);
    EXPECT_EQ(teacher_.decode({row.teacher->ids.begin(),
                               row.teacher->ids.begin() + static_cast<std::ptrdiff_t>(begin)}),
              first);
    covered += first;
    for (const auto& chunk : row.teacher->chunks) {
      covered += spelled(row, chunk, student_, teacher_);
    }
  }
  EXPECT_EQ(covered, text + "<eos>");
  EXPECT_EQ(data->coverage(100).share(), 1.0);
}

TEST_F(TeacherSideTest, OfConversationsTheAssistantsWordsAreCompared) {
  const auto data = load({R"({"messages": [{"role": "user", "content": "what"}, )"
                          R"({"role": "assistant", "content": "yes sir"}, )"
                          R"({"role": "user", "content": "and"}, )"
                          R"({"role": "assistant", "content": "no"}]})"});
  const Row row = data->row(0);
  std::string covered;
  for (const auto& chunk : row.teacher->chunks) covered += spelled(row, chunk, student_, teacher_);
  EXPECT_EQ(covered, "yes sir<|im_end|>no<|im_end|>");
  EXPECT_EQ(data->coverage(1).share(), 1.0);
}

/// Special tokens are text to it, unless it puts them there itself.
class PlainBytes : public ByteTokenizer {
 public:
  using ByteTokenizer::ByteTokenizer;
  text::TokenIds encode(std::string_view text, bool special, bool) const override {
    return ByteTokenizer::encode(text, special, false);
  }
};

TEST_F(TeacherSideTest, ATeacherWithoutATemplateReadsTheStudents) {
  const PlainBytes plain({.has_eos = true, .adds_bos = true});
  const std::string path =
      write_lines(folder_ / "d.jsonl", {R"({"messages": [{"role": "user", "content": "what"}, )"
                                        R"({"role": "assistant", "content": "yes sir"}]})"});
  TeacherReading teacher{plain, &chat_};
  RowReading reading{student_, &chat_};
  reading.teacher = &teacher;
  const auto data = Dataset::load({{path, 1.0}}, options_, reading, log_);
  const Row row = data->row(0);
  std::string covered;
  for (const auto& chunk : row.teacher->chunks) covered += spelled(row, chunk, student_, plain);
  EXPECT_EQ(covered, "yes sir") << "but not the end, which is no token of the teacher";
  EXPECT_EQ(row.teacher->runs_left_out, 0) << row.teacher->difference;
}

/// The first token of a template begins a turn, and not a text.
TEST_F(TeacherSideTest, OnlyWhatBeginsEveryTextIsReadInTheMiddleOfAConversation) {
  options_.sequence_length = 12;
  options_.packing = false;
  const auto begins = [&](bool adds_bos) {
    teacher_ = ByteTokenizer({.has_eos = true, .adds_bos = adds_bos});
    const auto data =
        load({R"({"messages": [{"role": "user", "content": "w"}, )"
              R"({"role": "assistant", "content": "yes sir and so on and so on"}]})"});
    std::vector<std::int64_t> first;
    for (std::int64_t i = 0; i < data->num_rows(); ++i) {
      const Row row = data->row(i);
      if (!row.teacher->ids.empty()) first.push_back(row.teacher->ids.front());
    }
    return first;
  };
  for (const bool adds_bos : {false, true}) {
    const auto first = begins(adds_bos);
    ASSERT_GE(first.size(), 2u);
    EXPECT_EQ(first.front(), ByteTokenizer::kStartOfTurn) << "the template's";
    for (std::size_t i = 1; i < first.size(); ++i) {
      EXPECT_NE(first[i], ByteTokenizer::kStartOfTurn) << "row " << i;
    }
  }
}

TEST_F(TeacherSideTest, WhatLiesBehindTheTeachersPositionsIsLeftOut) {
  max_positions_ = 6;
  const auto data = load({R"({"text": "abcdefgh"})"});
  const Row row = data->row(0);
  EXPECT_EQ(row.teacher->ids.size(), 5u) << "<bos> and two whole pairs";
  EXPECT_EQ(row.teacher->chunks, (Chunks{{1, 2, 3, 5, true}}));
  EXPECT_EQ(data->coverage(1).share(), 0.25);
}

TEST_F(TeacherSideTest, RowsHoldingSeveralDocumentsKeepThemApart) {
  const auto data = load({R"({"text": "ab cd"})", R"({"text": "xyz"})"});
  ASSERT_EQ(data->num_rows(), 1);
  const types::Batch batch = make_batch({data->row(0), data->row(0)});
  ASSERT_NE(batch.teacher_tokens, nullptr);
  const types::TeacherTokens& tokens = *batch.teacher_tokens;
  EXPECT_EQ(tokens.input.segments.size(), 5u);
  EXPECT_EQ(tokens.vocabulary, teacher_.vocab_size());
  const auto number = [](const at::Tensor& x, std::int64_t i) { return x[i].item<std::int64_t>(); };
  // Each row's label and chunk say the same as the chunk's text.
  std::vector<std::string> own(static_cast<std::size_t>(tokens.num_chunks()));
  std::vector<std::string> other = own;
  for (std::int64_t i = 0; i < batch.labels.size(0); ++i) {
    const auto chunk = number(tokens.student_chunks, i);
    EXPECT_EQ(chunk >= 0, batch.loss_mask[i].item<bool>());
    if (chunk < 0) continue;
    own[static_cast<std::size_t>(chunk)] += student_.token_bytes(number(batch.labels, i));
  }
  for (std::int64_t i = 0; i < tokens.labels.size(0); ++i) {
    const auto chunk = number(tokens.chunk_of_row, i);
    if (chunk < 0) continue;
    other[static_cast<std::size_t>(chunk)] += teacher_.token_bytes(number(tokens.labels, i));
  }
  EXPECT_EQ(own, other);
  EXPECT_EQ(own, (std::vector<std::string>{" ", "cd", "<eos>", "z", "<eos>", " ", "cd", "<eos>",
                                           "z", "<eos>"}));
  for (std::int64_t c = 0; c < tokens.num_chunks(); ++c) {
    EXPECT_EQ(number(tokens.student_chunks, number(tokens.student_first, c)), c);
    EXPECT_EQ(number(tokens.chunk_of_row, number(tokens.first_rows, c)), c);
    if (number(tokens.first_rows, c) > 0) {
      EXPECT_NE(number(tokens.chunk_of_row, number(tokens.first_rows, c) - 1), c);
    }
  }
  // Positions start again in each segment.
  for (std::size_t s = 0; s + 1 < tokens.input.segments.size(); ++s) {
    EXPECT_EQ(number(tokens.input.position_ids, tokens.input.segments[s]), 0);
  }
}

TEST_F(TeacherSideTest, TheTeacherIsPartOfWhatWasTrainedOn) {
  const std::vector<std::string> lines = {R"({"text": "abcd"})"};
  const auto with = load(lines)->fingerprint();
  teacher_ = ByteTokenizer({.has_eos = true, .adds_bos = false});
  EXPECT_NE(load(lines)->fingerprint(), with);
  EXPECT_EQ(load(lines)->first_rows(1)->fingerprint(), load(lines)->fingerprint());
  EXPECT_TRUE(load(lines)->first_rows(1)->row(0).teacher.has_value());
}

/// A template that has no form for some conversations.
class ShyChat : public testing::ByteChat {
 public:
  std::vector<text::ChatSpan> render(const std::vector<text::ChatMessage>& messages,
                                     bool prompt) const override {
    if (messages.front().role == "system") fail<InputError>("no system messages");
    return ByteChat::render(messages, prompt);
  }
};

TEST_F(TeacherSideTest, RowsOfOnlyOneSideAreRefused) {
  const std::string path = write_lines(
      folder_ / "d.jsonl",
      {R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, )"
       R"({"role": "assistant", "content": "a"}]})",
       R"({"text": "abcd"})"});
  const ShyChat shy;
  TeacherReading teacher{teacher_, &shy};
  RowReading reading{student_, &chat_};
  reading.teacher = &teacher;
  options_.on_bad_sample = OnBadSample::kSkip;
  EXPECT_EQ(
      testing::message_of<FormatError>([&] {
        Dataset::load({{path, 1.0}}, options_, reading, log_);
      }),
      path +
          ": gives 2 documents for the student and 1 for the teacher, expected as many, since "
          "a row was skipped for one of them only; take that row out (`data.on_bad_sample: "
          "error` names it)");
}

TEST_F(TeacherSideTest, RowsWithoutChunksGiveTheTeacherNothingToRead) {
  const auto data = load({R"({"text": "ab"})"});
  Row row = data->row(0);
  row.teacher->chunks.clear();
  row.teacher->ids.clear();
  row.teacher->segments = {0};
  const types::Batch batch = make_batch({row});
  EXPECT_EQ(batch.teacher_tokens->num_chunks(), 0);
  EXPECT_EQ(batch.teacher_tokens->input.input_ids.size(0), 0);
  Row bad = data->row(0);
  bad.teacher->chunks.front().teacher_end = 100;
  EXPECT_THROW(make_batch({bad}), InputError);
  bad.teacher.reset();
  EXPECT_THROW(make_batch({row, bad}), InputError);
}

}  // namespace
}  // namespace distill::data
