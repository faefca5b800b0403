#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/data/dataset.h>

#include "support/byte_chat.h"
#include "support/byte_tokenizer.h"
#include "support/jsonl_file.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"

namespace distill::data {
namespace {

struct BadRow {
  const char* name;
  std::string line;     ///< put at line 2
  std::string message;  ///< what follows FILE:2; its beginning when it ends in `...`
};

void PrintTo(const BadRow& row, std::ostream* out) {
  *out << row.name;
}

std::string load_error(const std::vector<std::string>& lines, const text::ChatTemplate* chat) {
  const testing::TempFolder folder;
  const std::string path = testing::write_lines(folder / "d.jsonl", lines);
  testing::RecordingLogger log;
  const std::string message = testing::message_of<InputError>([&] {
    Dataset::load({{path, 1.0}}, {}, testing::ByteTokenizer(), chat, log);
  });
  EXPECT_EQ(message.find('\n'), std::string::npos) << "one line";
  EXPECT_LT(message.size(), 300u + path.size());
  EXPECT_TRUE(message.starts_with(path)) << message;
  return message.substr(std::min(path.size(), message.size()));
}

class BadRows : public ::testing::TestWithParam<BadRow> {};

TEST_P(BadRows, AreRefusedWithFileAndLine) {
  const testing::ByteChat chat;
  const std::string message = load_error({R"({"text": "good"})", GetParam().line}, &chat);
  std::string expected = ":2" + GetParam().message;
  if (expected.ends_with("...")) {
    expected.resize(expected.size() - 3);
    EXPECT_TRUE(message.starts_with(expected)) << message;
  } else {
    EXPECT_EQ(message, expected);
  }
}

std::string chat_row(const std::string& messages) {
  return R"({"messages": )" + messages + "}";
}

INSTANTIATE_TEST_SUITE_P(
    All, BadRows,
    ::testing::Values(
        BadRow{"NoMembers", "{}", ": expected a member `text` or `messages`, found no members"},
        BadRow{"OtherMembers", R"({"prompt": "a", "answer": 1})",
               ": expected a member `text` or `messages`, found `prompt`, `answer`"},
        BadRow{"ManyMembers", R"({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1})",
               ": expected a member `text` or `messages`, found `a`, `b`, `c`, `d`, `e`, ..."},
        BadRow{"NullText", R"({"text": null})",
               ": expected a member `text` or `messages`, found `text` (null)"},
        BadRow{"WrongCase", R"({"Text": "a"})",
               ": expected a member `text` or `messages`, found `Text`"},
        BadRow{"ControlCharactersInANameAreShown", R"({"a\u0007\n": "a"})",
               R"(: expected a member `text` or `messages`, found `a\x07\x0a`)"},
        BadRow{"Both", R"({"text": "a", "messages": []})",
               ": holds both `text` and `messages`, expected one of them"},
        BadRow{"TextIsANumber", R"({"text": 3})", ": `text` must be a string, it is an integer"},
        BadRow{"TextIsAnArray", R"({"text": ["a"]})", ": `text` must be a string, it is an array"},
        BadRow{"TextIsEmpty", R"({"text": ""})",
               ": `text` is empty, expected at least one character"},
        BadRow{"MessagesIsAString", chat_row(R"("hi")"),
               ": `messages` must be an array, it is a string"},
        BadRow{"MessagesIsAnObject", chat_row(R"({"role": "user"})"),
               ": `messages` must be an array, it is an object"},
        BadRow{"MessagesIsEmpty", chat_row("[]"),
               ": `messages` is empty, expected at least one message"},
        BadRow{"MessageIsAString", chat_row(R"(["hi"])"),
               ": `messages[0]` must be an object, it is a string"},
        BadRow{"RoleIsMissing", chat_row(R"([{"content": "a"}])"),
               ": `messages[0].role` is missing"},
        BadRow{"ContentIsMissing",
               chat_row(R"([{"role": "user", "content": "a"}, {"role": "assistant"}])"),
               ": `messages[1].content` is missing"},
        BadRow{"RoleIsANumber", chat_row(R"([{"role": 1, "content": "a"}])"),
               ": `messages[0].role` must be a string, it is an integer"},
        BadRow{"RoleIsEmpty", chat_row(R"([{"role": "", "content": "a"}])"),
               ": `messages[0].role` is empty, expected system, user or assistant"},
        BadRow{"ContentIsNull", chat_row(R"([{"role": "user", "content": null}])"),
               ": `messages[0].content` must be a string, it is null"},
        BadRow{"ContentIsAList",
               chat_row(R"([{"role": "user", "content": [{"type": "text", "text": "a"}]}])"),
               ": `messages[0].content` must be a string, it is an array"},
        BadRow{"NoAssistant", chat_row(R"([{"role": "user", "content": "a"}])"),
               ": `messages` hold nothing to learn, expected a message of the assistant"},
        BadRow{"RoleOutsideTheTemplate", chat_row(R"([{"role": "tool", "content": "a"}])"),
               ": role `tool` has no form in this template"},
        BadRow{"RowIsAnArray", "[1]", ": must be a JSON object, it is an array"},
        BadRow{"RowIsAString", R"("a")", ": must be a JSON object, it is a string"},
        BadRow{"NotJson", "text", ":2: syntax error..."},
        BadRow{"CutOff", R"({"text": "a)", ":12: syntax error..."},
        BadRow{"TwoValues", R"({"text": "a"} {"text": "b"})", ":15: syntax error..."},
        BadRow{"SameNameTwice", R"({"text": "a", "text": "b"})",
               ":20: name `text` appears twice..."},
        BadRow{"NotUtf8", "{\"text\": \"\xff\"}", ":11: syntax error..."},
        BadRow{"HalfASurrogate", R"({"text": "\ud800"})", ":17: syntax error..."},
        BadRow{"EmptyLine", "", ": an empty line..."}),
    [](const auto& test) { return test.param.name; });

TEST(BadRows, MessagesNeedATemplate) {
  EXPECT_EQ(
      load_error({R"({"messages": [{"role": "assistant", "content": "a"}]})"}, nullptr),
      ":1: `messages` need a chat template and there is none; set `chat_template: chatml`, or "
      "give rows with `text`");
}

TEST(BadRows, ExtraMembersAreAllowed) {
  const testing::TempFolder folder;
  const testing::ByteChat chat;
  const std::string path = testing::write_lines(
      folder / "d.jsonl",
      {R"({"text": "a", "id": 7, "messages": null})",
       R"({"messages": [{"role": "assistant", "content": "", "name": "x"}], "text": null})"});
  testing::RecordingLogger log;
  const auto data = Dataset::load({{path, 1.0}}, {}, testing::ByteTokenizer(), &chat, log);
  EXPECT_EQ(data->num_targets(), 2);
  EXPECT_TRUE(log.has(path + ": 2 documents, 14 tokens"));
}

TEST(BadRows, AMissingFileIsNamed) {
  testing::RecordingLogger log;
  const std::string message = testing::message_of<InputError>([&] {
    Dataset::load({{"no/such.jsonl", 1.0}}, {}, testing::ByteTokenizer(), nullptr, log);
  });
  EXPECT_NE(message.find("no/such.jsonl"), std::string::npos) << message;
}

}  // namespace
}  // namespace distill::data
