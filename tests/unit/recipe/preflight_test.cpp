#include <distill/recipe/preflight.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "support/byte_chat.h"
#include "support/byte_tokenizer.h"
#include "support/temp_folder.h"

namespace distill::recipe {
namespace {

using testing::ByteTokenizer;

/// Bytes, with some ids meaning something else.
class OtherTokenizer : public ByteTokenizer {
 public:
  using ByteTokenizer::ByteTokenizer;
  std::string token_bytes(std::int64_t id) const override {
    if (id >= ids && id < kVocabSize + surplus) return id == 'x' ? "y" : "extra";
    return ByteTokenizer::token_bytes(id);
  }
  text::TokenIds encode(std::string_view text, bool special, bool parse) const override {
    auto result = ByteTokenizer::encode(text, special, parse);
    if (reversed) std::reverse(result.begin(), result.end());
    return result;
  }
  std::int64_t vocab_size() const override { return kVocabSize + surplus; }
  std::int64_t eos_id() const override { return eos; }
  std::string fingerprint() const override { return "other"; }

  std::int64_t ids = kVocabSize;  ///< from here on they mean something else
  std::int64_t surplus = 0;
  std::int64_t eos = kEos;
  bool reversed = false;
};

class OtherChat : public testing::ByteChat {
 public:
  std::vector<text::ChatSpan> render(const std::vector<text::ChatMessage>& messages,
                                     bool prompt) const override {
    auto spans = ByteChat::render(messages, prompt);
    if (messages.front().role == "system") spans.insert(spans.begin(), {"<bos>", false});
    return spans;
  }
};

class PreflightTest : public ::testing::Test {
 protected:
  Preflight look(bool chosen = false) const {
    const TextSide mine{"student", student_rows, student, student_chat};
    const TextSide theirs{"teacher", teacher_rows, teacher, teacher_chat};
    return check_text(mine, &theirs, chosen);
  }
  /// `warning: ...` of a subject, the last one of it.
  std::string of(const std::string& subject, bool chosen = false) const {
    std::string text;
    for (const Check& check : look(chosen).checks) {
      if (check.subject != subject) continue;
      text = std::string(check.result == Check::Result::kGood      ? "ok: "
                         : check.result == Check::Result::kWarning ? "warning: "
                                                                   : "error: ") +
             check.what;
    }
    return text;
  }

  ByteTokenizer student;
  OtherTokenizer teacher;
  std::int64_t student_rows = 260, teacher_rows = 260;
  testing::ByteChat chat;
  const text::ChatTemplate* student_chat = &chat;
  const text::ChatTemplate* teacher_chat = &chat;
};

TEST_F(PreflightTest, TokenizersAreComparedByWhatTheirIdsMean) {
  EXPECT_TRUE(of("tokenizers").starts_with("warning: not word for word the same, but all ids"));
  teacher.surplus = 3;
  EXPECT_TRUE(of("tokenizers").ends_with("which has 3 more"));
  teacher.surplus = 0;
  teacher.reversed = true;
  EXPECT_NE(of("tokenizers").find("the vocabularies agree, but not how they cut `The quick"),
            std::string::npos);
  teacher.ids = 'x';
  EXPECT_EQ(of("tokenizers"),
            "error: student: its tokenizer gives other ids than that of the teacher teacher, so "
            "their logits cannot be compared: 140 of 260 ids differ (120 is `x` and `y`, 121 is "
            "`y` and `extra`, 122 is `z` and `extra`); use a pair with one tokenizer, or losses "
            "for other "
            "tokenizers: alm, uld");
  EXPECT_THROW(require_no_errors(look(), false), ConfigError);
}

TEST_F(PreflightTest, VocabulariesMustHoldAllIds) {
  student_rows = 300;
  teacher_rows = 259;
  const Preflight found = look();
  EXPECT_EQ(found.checks[1].what,
            "the student has 300 rows for 260 ids; 40 are padding and not used");
  EXPECT_EQ(of("vocabulary"),
            "error: teacher: the tokenizer has 260 ids, the model only 259 (`vocab_size` in "
            "config.json)");
}

TEST_F(PreflightTest, EndsOfTextThatDifferAreWarnedOf) {
  EXPECT_EQ(of("end of text"), "ok: `<eos>` (257)");
  teacher.eos = ByteTokenizer::kEndOfTurn;
  EXPECT_TRUE(
      of("end of text")
          .starts_with(
              "warning: the student ends with `<eos>` (257), the teacher with `<|im_end|>` (259)"));
  student = ByteTokenizer({.has_eos = false, .adds_bos = false});
  EXPECT_TRUE(of("end of text").starts_with("warning: the student's tokenizer has no EOS"));
  EXPECT_NO_THROW(require_no_errors(look(), true));
}

TEST_F(PreflightTest, TemplatesMustWriteTheSameUnlessOneWasChosen) {
  EXPECT_EQ(of("chat template"), "ok: bytes, the same as the teacher's");
  const OtherChat other;
  teacher_chat = &other;
  EXPECT_EQ(of("chat template"),
            "error: the student's writes conversations differently from the teacher's: "
            "`[system]Be brief.<|im_end|>[us...` where that has `<bos>[system]Be brief.<|im_end...`"
            "; name the one to use with `data.chat_template`");
  EXPECT_TRUE(of("chat template", true).starts_with("warning: "));
  EXPECT_NO_THROW(require_no_errors(look(), false)) << "texts alone need no template";
  EXPECT_THROW(require_no_errors(look(), true), ConfigError);
  teacher_chat = nullptr;
  EXPECT_TRUE(of("chat template").starts_with("warning: "));
  student_chat = nullptr;
  EXPECT_EQ(of("chat template"), "ok: none");
}

TEST_F(PreflightTest, AllErrorsAreToldAtOnce) {
  teacher.ids = 'x';
  student_rows = 1;
  teacher_rows = 2;
  const std::string message =
      testing::message_of<ConfigError>([&] { require_no_errors(look(), false); });
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 2) << message;
}

TEST_F(PreflightTest, IsShownAsTextAndJson) {
  EXPECT_NE(preflight_text(look(), "").find("ok       chat template: bytes, the same"),
            std::string::npos);
  core::JsonWriter json;
  write_json(json, look());
  EXPECT_TRUE(json.text().starts_with(R"([{"subject":"tokenizers","result":"warning","what":)"));
}

}  // namespace
}  // namespace distill::recipe
