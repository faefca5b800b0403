#include "recipe/served_tokenizer.h"

#include <gtest/gtest.h>

#include "support/byte_tokenizer.h"
#include "support/recording_logger.h"
#include "support/score_server.h"
#include "support/temp_folder.h"
#include "support/toy_model.h"

namespace distill::recipe {
namespace {

using testing::ByteTokenizer;
using testing::HttpCall;
using testing::HttpServer;
using testing::message_of;

/// How a server's tokenizer would print one id.
std::string decoded(const ByteTokenizer& tokenizer, std::int64_t id) {
  return tokenizer.decode({id}, /*skip_special=*/false);
}

class ServedTokenizer : public ::testing::Test {
 protected:
  teachers::ServerTeacher make() {
    teachers::ServerTeacherOptions options;
    options.server = {.url = server_.url("/v1"), .model = "m"};
    options.vocabulary = ByteTokenizer::kVocabSize;
    options.probe = probe_of(tokenizer_, 256);
    return {options, log_, nullptr};
  }
  void check(bool compared = false) {
    auto teacher = make();
    check_served_tokenizer(teacher, {tokenizer_, "models/student", compared}, log_);
  }

  ByteTokenizer tokenizer_;
  testing::RecordingLogger log_;
  testing::ScoreServer scores_{std::make_shared<testing::ToyModel>()};
  HttpServer server_{[this](const HttpCall& call) { return scores_(call); }};
};

TEST_F(ServedTokenizer, TheSameIsTaken) {
  scores_.spell = [this](std::int64_t id) { return decoded(tokenizer_, id); };
  check();
  scores_.tokenize = [this](const std::string& text) { return tokenizer_.encode(text, false); };
  check();
  EXPECT_TRUE(log_.lines.empty()) << log_.lines[0];
}

TEST_F(ServedTokenizer, OtherSpellingsAreRefusedByName) {
  scores_.spell = [this](std::int64_t id) { return decoded(tokenizer_, id == 'e' ? 'f' : id); };
  const auto message = message_of<ConfigError>([&] { check(); });
  EXPECT_NE(message.find("mean something else than those of models/student: 1 of "),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("101 is `e` and `f`"), std::string::npos) << message;
  EXPECT_NE(message.find("`distill generate-data`"), std::string::npos) << message;
  EXPECT_LT(message.size(), 300u);
}

TEST_F(ServedTokenizer, OtherCutsAreRefusedByName) {
  scores_.spell = [](std::int64_t) { return ""; };
  scores_.tokenize = [](const std::string& text) {
    return std::vector<std::int64_t>(text.size(), 'a');
  };
  for (const bool compared : {false, true}) {
    const auto message = message_of<ConfigError>([&] { check(compared); });
    EXPECT_NE(message.find("gives other ids than that of models/student for `The quick"),
              std::string::npos)
        << message;
  }
}

TEST_F(ServedTokenizer, AServerThatTellsNothingIsAWarning) {
  scores_.spell = [](std::int64_t) { return ""; };
  check(true);
  EXPECT_TRUE(log_.lines.empty());
  check();
  ASSERT_EQ(log_.lines.size(), 1u);
  EXPECT_NE(log_.lines[0].find("`teacher.tokenizer`"), std::string::npos);
}

TEST_F(ServedTokenizer, SpellingsOfWordsAndPartsOfCharacters) {
  EXPECT_TRUE(is_same_spelling(" word", "word"));
  EXPECT_TRUE(is_same_spelling("word", "word"));
  EXPECT_TRUE(is_same_spelling("\xe4\xbb", "\xef\xbf\xbd"));
  EXPECT_TRUE(is_same_spelling("\xe4\xbb", "")) << "no text of its own";
  EXPECT_FALSE(is_same_spelling("word", "words"));
  EXPECT_FALSE(is_same_spelling("\n", "n"));
}

TEST_F(ServedTokenizer, RowsMustFitTheServersModel) {
  scores_.spell = [this](std::int64_t id) { return decoded(tokenizer_, id); };
  auto silent = make();
  check_served_length(silent, 1 << 20);
  scores_.max_tokens = 1024;
  auto teacher = make();
  check_served_length(teacher, 1023);
  const auto message = message_of<ConfigError>([&] { check_served_length(teacher, 1024); });
  EXPECT_NE(message.find("use at most 1023"), std::string::npos) << message;
}

TEST_F(ServedTokenizer, TheProbeIsNoLongerThanRowsMayBe) {
  EXPECT_EQ(probe_of(tokenizer_, 48).size(), 48u);
  EXPECT_EQ(probe_of(tokenizer_, 1).size(), 2u);
  EXPECT_EQ(probe_of(tokenizer_, 1 << 20).size(), 256u);
}

}  // namespace
}  // namespace distill::recipe
