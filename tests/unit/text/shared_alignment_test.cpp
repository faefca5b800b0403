// Pairs of the published tokenizers in ../shared, on their own multilingual texts.
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/text/alignment.h>

#include "support/shared_data.h"
#include "unit/text/tiny_tokenizer.h"

namespace distill::text {
namespace {

namespace fs = std::filesystem;

struct Pair {
  const char* student;
  const char* teacher;
};

class SharedAlignment : public ::testing::TestWithParam<Pair> {
 protected:
  void SetUp() override {
    const auto shared = testing::shared_folder();
    if (!shared) GTEST_SKIP() << "no shared folder";
    folder_ = *shared / "tokenizers";
    if (!fs::exists(folder_ / GetParam().student) || !fs::exists(folder_ / GetParam().teacher)) {
      GTEST_SKIP() << "not both tokenizers are there";
    }
  }
  fs::path folder_;
};

/// Test names are letters and digits.
std::string name_of(const ::testing::TestParamInfo<Pair>& tested) {
  std::string name = std::string(tested.param.student) + "_" + tested.param.teacher;
  std::erase_if(name, [](char c) { return c == '-' || c == '.'; });
  return name;
}

std::vector<AlignedToken> as_tokens(const TokenIds& ids, const TokenSpellings& spellings) {
  std::vector<AlignedToken> tokens;
  for (const std::int64_t id : ids) tokens.push_back(spellings.at(id, true));
  return tokens;
}

std::string spelled(const std::vector<AlignedToken>& tokens, std::int64_t begin, std::int64_t end) {
  std::string text;
  for (std::int64_t i = begin; i < end; ++i) text += tokens[static_cast<std::size_t>(i)].bytes;
  return text;
}

std::string without_blanks_before(const std::string& text) {
  return text.substr(std::min(text.size(), text.find_first_not_of(" \n\t\r")));
}

/// Chunks follow each other without a gap, spell the same, and cannot be cut any further.
void expect_tiled(const TokenAlignment& found, const std::vector<AlignedToken>& student,
                  const std::vector<AlignedToken>& teacher) {
  for (std::size_t i = 0; i < found.chunks.size(); ++i) {
    const TokenChunk& chunk = found.chunks[i];
    const std::string own = spelled(student, chunk.student_begin, chunk.student_end);
    const std::string other = spelled(teacher, chunk.teacher_begin, chunk.teacher_end);
    if (i == 0) {
      EXPECT_EQ(without_blanks_before(own), without_blanks_before(other));
    } else {
      EXPECT_EQ(own, other);
      EXPECT_EQ(chunk.student_begin, found.chunks[i - 1].student_end);
      EXPECT_EQ(chunk.teacher_begin, found.chunks[i - 1].teacher_end);
      for (std::int64_t s = chunk.student_begin + 1; s < chunk.student_end; ++s) {
        for (std::int64_t t = chunk.teacher_begin + 1; t < chunk.teacher_end; ++t) {
          EXPECT_NE(spelled(student, chunk.student_begin, s),
                    spelled(teacher, chunk.teacher_begin, t));
        }
      }
    }
  }
}

TEST_P(SharedAlignment, TilesMultilingualTexts) {
  const auto student = load_tokenizer(folder_ / GetParam().student);
  const auto teacher = load_tokenizer(folder_ / GetParam().teacher);
  const TokenSpellings own(*student);
  const TokenSpellings other(*teacher);
  std::int64_t aligned = 0;
  std::int64_t texts = 0;
  for (const auto& name : {GetParam().student, GetParam().teacher}) {
    for (const io::JsonValue& value : testing::read_rows(folder_ / name / "vectors.jsonl")) {
      const std::string text = io::JsonCursor(value, name).at("text").as_string();
      // As text: what is written like a special token would be one for some.
      const auto s = as_tokens(student->encode(text, false, false), own);
      const auto t = as_tokens(teacher->encode(text, false, false), other);
      if (without_blanks_before(text).empty()) continue;
      SCOPED_TRACE(core::printable(text, 200));
      const TokenAlignment found = align_tokens(s, t);
      ++texts;
      expect_tiled(found, s, t);
      if (found.runs_left_out > 0) {
        EXPECT_NE(spelled(s, 0, std::ssize(s)), spelled(t, 0, std::ssize(t)));
        continue;
      }
      ++aligned;
      ASSERT_FALSE(found.chunks.empty());
      EXPECT_EQ(without_blanks_before(spelled(s, found.chunks.front().student_begin,
                                              found.chunks.back().student_end)),
                without_blanks_before(spelled(t, found.chunks.front().teacher_begin,
                                              found.chunks.back().teacher_end)));
    }
  }
  RecordProperty("aligned", static_cast<int>(aligned));
  RecordProperty("texts", static_cast<int>(texts));
  EXPECT_GE(texts, 100);
  EXPECT_GE(aligned, texts * 9 / 10) << aligned << " of " << texts;
}

INSTANTIATE_TEST_SUITE_P(Published, SharedAlignment,
                         ::testing::Values(Pair{"smollm2", "qwen2.5"},
                                           Pair{"qwen2.5", "deepseek-r1"},
                                           Pair{"llama-2", "smollm2"}, Pair{"smollm2", "llama-3.1"},
                                           Pair{"gpt2", "mistral-v3"},
                                           Pair{"stories260K", "smollm2"},
                                           Pair{"mistral-v1", "llama-3.1"}),
                         name_of);

/// A tokenizer that changes its text is found out: nothing wrong is aligned.
TEST(SharedAlignmentOfNormalizers, LeavesOutWhatWasChanged) {
  const auto shared = testing::shared_folder();
  if (!shared) GTEST_SKIP() << "no shared folder";
  const fs::path folder = *shared / "tokenizers";
  const auto student = load_tokenizer(folder / "spm-unigram-test");
  const auto teacher = load_tokenizer(folder / "smollm2");
  const TokenSpellings own(*student);
  const TokenSpellings other(*teacher);
  const auto align = [&](const std::string& text) {
    return align_tokens(as_tokens(student->encode(text, false, false), own),
                        as_tokens(teacher->encode(text, false, false), other));
  };
  EXPECT_EQ(align("a plain line").runs_left_out, 0);
  EXPECT_EQ(align("two  blanks and \xef\xbc\xa1").runs_left_out, 1);
}

}  // namespace
}  // namespace distill::text
