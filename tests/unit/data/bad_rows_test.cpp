#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/data/dataset.h>

#include "support/byte_chat.h"
#include "support/byte_tokenizer.h"
#include "support/jsonl_file.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"
#include "text/chat_forms.h"

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
  EXPECT_LT(message.size(), 320u + path.size());
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
        BadRow{"NoMembers", "{}",
               ": expected a member `text`, `messages`, `conversations`, `prompt` or "
               "`instruction`, found no members"},
        BadRow{"OtherMembers", R"({"question": "a", "answer": 1})",
               ": expected a member `text`, `messages`, `conversations`, `prompt` or "
               "`instruction`, found `question`, `answer`"},
        BadRow{"ManyMembers", R"({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1})",
               ": expected a member `text`, `messages`, `conversations`, `prompt` or "
               "`instruction`, found `a`, `b`, `c`, `d`, `e`, ..."},
        BadRow{"NullText", R"({"text": null})",
               ": expected a member `text`, `messages`, `conversations`, `prompt` or "
               "`instruction`, found `text` (null)"},
        BadRow{"WrongCase", R"({"Text": "a"})",
               ": expected a member `text`, `messages`, `conversations`, `prompt` or "
               "`instruction`, found `Text`"},
        BadRow{
            "ControlCharactersInANameAreShown", R"({"a\u0007\n": "a"})",
            R"(: expected a member `text`, `messages`, `conversations`, `prompt` or `instruction`, found `a\x07\x0a`)"},
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
               ": a conversation with nothing to learn, expected a message of the assistant"},
        BadRow{"AssistantIsEmpty", chat_row(R"([{"role": "assistant", "content": ""}])"),
               ": `messages[0].content` is empty, expected the assistant's words"},
        BadRow{
            "AssistantIsBlank",
            chat_row(
                R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": " \n"}])"),
            ": `messages[1].content` is blank, expected the assistant's words"},
        BadRow{"Tools", R"({"messages": [{"role": "assistant", "content": "a"}], "tools": [1]})",
               ": `tools` is not read; leave it out, or write it into the system message"},
        BadRow{"ToolCalls",
               chat_row(R"([{"role": "assistant", "content": "a", "tool_calls": [{}]}])"),
               ": `messages[0].tool_calls` is not read; write the call into `content`"},
        BadRow{"Reasoning",
               chat_row(R"([{"role": "assistant", "reasoning_content": "easy", "content": "4"}])"),
               ": `messages[0].reasoning_content` is not read; write it into `content`, before the "
               "answer: <think>...</think>"},
        BadRow{"Thinking",
               chat_row(R"([{"role": "assistant", "thinking": "easy", "content": "4"}])"),
               ": `messages[0].thinking` is not read; write it into `content`, before the answer: "
               "<think>...</think>"},
        BadRow{
            "FunctionCall",
            chat_row(R"([{"role": "assistant", "content": "a", "function_call": {"name": "f"}}])"),
            ": `messages[0].function_call` is not read; write the call into `content`"},
        BadRow{"Functions",
               R"({"messages": [{"role": "assistant", "content": "a"}], "functions": [1]})",
               ": `functions` is not read; leave it out, or write it into the system message"},
        BadRow{"WeightIsZero", chat_row(R"([{"role": "assistant", "content": "a", "weight": 0}])"),
               ": `messages[0].weight` is not read: every answer is learned; take it out, or leave "
               "the row out"},
        BadRow{"NotToBeLearned",
               R"({"conversations": [{"from": "gpt", "value": "a", "train": false}]})",
               ": `conversations[0].train` is not read: every answer is learned; take it out, or "
               "leave the row out"},
        BadRow{"ConversationsIsEmpty", R"({"conversations": []})",
               ": `conversations` is empty, expected at least one message"},
        BadRow{"SpeakerIsUnknown", R"({"conversations": [{"from": "moss", "value": "a"}]})",
               ": `conversations[0].from` is `moss`, expected human, gpt or system"},
        BadRow{"SpeakerIsMissing", R"({"conversations": [{"value": "a"}]})",
               ": `conversations[0].from` is missing"},
        BadRow{"ValueIsANumber", R"({"conversations": [{"from": "human", "value": 1}]})",
               ": `conversations[0].value` must be a string, it is an integer"},
        BadRow{"GptSaysNothing", R"({"conversations": [{"from": "gpt", "value": ""}]})",
               ": `conversations[0].value` is empty, expected the assistant's words"},
        BadRow{"CompletionIsMissing", R"({"prompt": "a"})", ": `completion` is missing"},
        BadRow{"CompletionIsEmpty", R"({"prompt": "a", "completion": ""})",
               ": `completion` is empty, expected what follows the prompt"},
        BadRow{"PromptIsAList", R"({"prompt": [{"role": "user"}], "completion": "b"})",
               ": `prompt` must be a string, it is an array"},
        BadRow{"OutputIsMissing", R"({"instruction": "a", "input": "b"})", ": `output` is missing"},
        BadRow{"OutputIsEmpty", R"({"instruction": "a", "output": ""})",
               ": `output` is empty, expected the assistant's words"},
        BadRow{"InstructionIsBlank", R"({"instruction": " ", "output": "b"})",
               ": `instruction` is blank, expected what is to be done"},
        BadRow{"InputIsANumber", R"({"instruction": "a", "input": 1, "output": "b"})",
               ": `input` must be a string, it is an integer"},
        BadRow{"History", R"({"instruction": "a", "output": "b", "history": [["c", "d"]]})",
               ": `history` is not read; write the row as `messages`"},
        BadRow{"TwoForms", R"({"text": "a", "instruction": "b", "output": "c"})",
               ": holds both `text` and `instruction`, expected one of them"},
        BadRow{"NulByte", std::string("{\"text\": \"a\0\"}", 14), ":12: a NUL byte..."},
        BadRow{"ByteOrderMarkInside", "\xef\xbb\xbf{\"text\": \"a\"}", ":1: a byte order mark..."},
        BadRow{"DeepNesting", "{\"a\": " + std::string(100'000, '['),
               ":70: nested deeper than 64 levels..."},
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
      ":1: a conversation needs a chat template and there is none; set `chat_template: chatml`, or "
      "give rows with `text`");
}

TEST(BadRows, ExtraMembersAreAllowed) {
  const testing::TempFolder folder;
  const testing::ByteChat chat;
  const std::string path = testing::write_lines(
      folder / "d.jsonl",
      {R"({"text": "a", "id": 7, "messages": null})",
       R"({"messages": [{"role": "assistant", "content": "b", "name": "x"}], "text": null})",
       R"({"messages": [{"role": "user", "content": "", "weight": 0}, {"role": "assistant", )"
       R"("content": "b", "reasoning_content": "", "function_call": null, "weight": 1.0, )"
       R"("train": true}], "functions": []})"});
  testing::RecordingLogger log;
  const auto data = Dataset::load({{path, 1.0}}, {}, testing::ByteTokenizer(), &chat, log);
  EXPECT_EQ(data->num_targets(), 5);
  EXPECT_TRUE(log.has(path + ": 3 documents, 35 tokens"));
}

TEST(BadRows, NumbersThatAreNotReadMayBeOfAnySize) {
  const testing::TempFolder folder;
  const std::string path =
      testing::write_lines(folder / "d.jsonl", {R"({"text": "a", "id": 18446744073709551615})",
                                                R"({"text": "b", "id": [-9223372036854775809]})"});
  testing::RecordingLogger log;
  const auto data = Dataset::load({{path, 1.0}}, {}, testing::ByteTokenizer(), nullptr, log);
  EXPECT_EQ(data->report().documents, 2);
}

TEST(BadRows, AnAnswerOfWhichTheTemplateLeavesNothingIsRefused) {
  const text::detail::DeepSeekChat drops({}, {});
  const std::string thought = R"({"role": "assistant", "content": "<think>easy</think>"})";
  const std::string user = R"({"role": "user", "content": "2 + 2?"})";
  const std::string message = ": the chat template leaves nothing of an answer, expected words ";
  EXPECT_TRUE(load_error({chat_row("[" + user + ", " + thought + "]")}, &drops)
                  .starts_with(":1" + message));
  // Qwen 3 keeps the thoughts of the last answer only.
  const text::detail::Qwen3Chat keeps_last;
  EXPECT_TRUE(
      load_error({chat_row("[" + user + ", " + thought + ", " + user + ", " + thought + "]")},
                 &keeps_last)
          .starts_with(":1" + message));
  const testing::TempFolder folder;
  testing::RecordingLogger log;
  const std::string path =
      testing::write_lines(folder / "d.jsonl", {chat_row("[" + user + ", " + thought + "]")});
  EXPECT_NO_THROW(Dataset::load({{path, 1.0}}, {}, testing::ByteTokenizer(), &keeps_last, log));
}

/// Good and bad lines in turn, with everything on its own line.
std::shared_ptr<const Dataset> load_skipping(const std::string& path, core::Logger& log) {
  DataOptions options;
  options.on_bad_sample = OnBadSample::kSkip;
  options.packing = false;
  const testing::ByteChat chat;
  return Dataset::load({{path, 1.0}}, options, testing::ByteTokenizer(), &chat, log);
}

TEST(BadRows, AreSkippedCountedAndTheFirstTenNamedWhenAskedFor) {
  const testing::TempFolder folder;
  std::vector<std::string> lines;
  for (int i = 0; i < 13; ++i) {
    lines.push_back(R"({"text": "good"})");
    lines.push_back(i % 2 == 0 ? "broken" : R"({"text": 1})");
  }
  const std::string path = testing::write_lines(folder / "d.jsonl", lines);
  testing::RecordingLogger log;
  const auto data = load_skipping(path, log);
  EXPECT_EQ(data->num_rows(), 13);
  const DataReport& report = data->report();
  EXPECT_EQ(report.documents, 13);
  EXPECT_EQ(report.skipped, 13);
  ASSERT_EQ(report.first_skipped.size(), 10u);
  EXPECT_TRUE(report.first_skipped[0].starts_with(path + ":2:1: syntax error"));
  EXPECT_EQ(report.first_skipped[1], path + ":4: `text` must be a string, it is an integer");
  EXPECT_TRUE(report.first_skipped[9].starts_with(path + ":20: "));
  EXPECT_TRUE(log.has(path + ": skipped 13 rows"));
  EXPECT_TRUE(log.has("  " + path + ":4: `text` must be a string"));
}

TEST(BadRows, WhenAllAreSkippedThatIsAnError) {
  const testing::TempFolder folder;
  const std::string path = testing::write_lines(folder / "d.jsonl", {"{}", "{}"});
  testing::RecordingLogger log;
  const std::string message = testing::message_of<InputError>([&] { load_skipping(path, log); });
  EXPECT_NE(message.find("2 rows were skipped, the first: " + path + ":1: expected a member"),
            std::string::npos)
      << message;
}

TEST(BadRows, WhatIsNoFaultOfARowIsNeverSkipped) {
  const testing::TempFolder folder;
  const std::string path = testing::write_lines(
      folder / "d.jsonl",
      {R"({"text": "a"})", R"({"messages": [{"role": "assistant", "content": "a"}]})"});
  DataOptions options;
  options.on_bad_sample = OnBadSample::kSkip;
  testing::RecordingLogger log;
  EXPECT_NE(testing::message_of<InputError>([&] {
              Dataset::load({{path, 1.0}}, options, testing::ByteTokenizer(), nullptr, log);
            }).find(":2: a conversation needs a chat template"),
            std::string::npos);
}

TEST(BadRows, LinesOf100MegabytesAreSkippedInBoundedMemory) {
  const testing::TempFolder folder;
  const std::string path = (folder / "long.jsonl").string();
  {
    std::ofstream out(path, std::ios::binary);
    const std::string part(1 << 20, 'x');
    out << R"({"text": "first"})"
        << "\n{\"text\": \"";
    for (int i = 0; i < 100; ++i) out << part;
    out << "\"}\n"
        << R"({"text": "last"})"
        << "\n";
  }
  testing::RecordingLogger log;
  const auto data = load_skipping(path, log);
  EXPECT_EQ(data->num_rows(), 2);
  ASSERT_EQ(data->report().first_skipped.size(), 1u);
  EXPECT_EQ(data->report().first_skipped[0],
            path + ":2: a line of more than 16777216 bytes, which is the limit");
}

TEST(BadRows, ByteOrderMarkAndCarriageReturnsAreAccepted) {
  const testing::TempFolder folder;
  const std::string path = (folder / "dos.jsonl").string();
  std::ofstream(path, std::ios::binary)
      << "\xef\xbb\xbf{\"text\": \"a\\r\"}\r\n{\"text\": \"b\\u0000\"}\r\n";
  testing::RecordingLogger log;
  const auto data = load_skipping(path, log);
  ASSERT_EQ(data->num_rows(), 2);
  EXPECT_EQ(data->row(0).ids, (std::vector<std::int64_t>{'a', '\r', 257}));
  // A NUL that is written as an escape is a character like others.
  EXPECT_EQ(data->row(1).ids, (std::vector<std::int64_t>{'b', 0, 257}));
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
