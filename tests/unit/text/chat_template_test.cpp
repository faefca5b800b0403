#include <distill/text/chat_template.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/json_writer.h>

#include "unit/text/tiny_tokenizer.h"

namespace distill::text {
namespace {

using testing::message_of;
using testing::TempFolder;

const std::string kLoop = "{% for message in messages %}";
const std::string kMessage =
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}";
const std::string kPrompt =
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const std::string kPlain = kLoop + kMessage + "{% endfor %}" + kPrompt;
const std::string kWithDefault =
    kLoop +
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe kind, it\\'s nice.<|im_end|>\n' }}{% endif %}" +
    kMessage + "{% endfor %}" + kPrompt;
// The shape of Qwen 2.5's, its tool parts shortened.
const std::string kWithTools = R"({%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- for tool in tools %}
        {{- tool | tojson }}
    {%- endfor %}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>system\nBe brief.<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- for tool_call in message.tool_calls %}
            {{- tool_call.name }}
        {%- endfor %}
    {%- elif message.role == "tool" %}
        {{- message.content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
)";

std::shared_ptr<const ChatTemplate> load(const std::string& source,
                                         const std::string& kind = "auto") {
  const TempFolder folder;
  core::JsonWriter json;
  json.begin_object().member("chat_template", source).end_object();
  core::write_file_atomically(folder / "tokenizer_config.json", json.text());
  return load_chat_template(folder.path(), kind);
}

std::string rendered(const ChatTemplate& chat, const std::vector<ChatMessage>& messages,
                     bool prompt = false) {
  std::string text;
  for (const ChatSpan& span : chat.render(messages, prompt)) {
    text += span.is_target ? "[" + span.text + "]" : span.text;
  }
  return text;
}

const std::vector<ChatMessage> kTalk = {{"user", "Hi"}, {"assistant", "Yes\n"}, {"user", "So"}};

TEST(ChatTemplate, PlainChatMl) {
  const auto chat = load(kPlain);
  EXPECT_EQ(chat->name(), "chatml");
  EXPECT_EQ(rendered(*chat, kTalk, true),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n[Yes\n<|im_end|>]\n"
            "<|im_start|>user\nSo<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, TheDefaultSystemMessageIsReadFromTheTemplate) {
  const auto chat = load(kWithDefault);
  EXPECT_EQ(rendered(*chat, {{"user", "Hi"}}),
            "<|im_start|>system\nBe kind, it's nice.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
  EXPECT_EQ(rendered(*chat, {{"system", "Own"}, {"user", "Hi"}}),
            "<|im_start|>system\nOwn<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
  EXPECT_EQ(rendered(*load(kWithTools), {{"user", "Hi"}}),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
}

TEST(ChatTemplate, AHarmlessFirstStatementIsSkipped) {
  EXPECT_EQ(rendered(*load("{% if not add_generation_prompt is defined %}"
                           "{% set add_generation_prompt = false %}{% endif %}" +
                           kPlain),
                     kTalk),
            rendered(*load(kPlain), kTalk));
}

// Each differs from a known template in one thing that changes the text.
TEST(ChatTemplate, WhatRendersOtherwiseIsNotTakenForChatMl) {
  const auto changed = [](const std::string& from, const std::string& to) {
    return testing::replaced(kWithTools, from, to);
  };
  const std::string other[] = {
      testing::replaced(kPlain, "message['content']", "message['content'] | trim"),
      testing::replaced(kPlain, "'<|im_end|>' + '\\n'", "'<|im_end|>'"),
      testing::replaced(kPlain, "<|im_end|>", "<|eot_id|>"),
      testing::replaced(kPlain, "{% endfor %}", "\n{{ eos_token }}{% endfor %}"),
      testing::replaced(kPlain, "'<|im_start|>assistant\\n'",
                        "'<|im_start|>assistant\\n<think>\\n'"),
      "{{ bos_token }}" + kPlain,
      kPlain + "x",
      testing::replaced(kWithDefault, "loop.first and ", ""),
      testing::replaced(kWithDefault, "!= 'system'", "== 'system'"),
      changed("if tools", "if not tools"),
      changed("not loop.first", "loop.first"),
      changed("elif message.role == \"tool\"", "elif message.role == \"user\""),
      changed("elif message.role == \"assistant\"", "else"),
      changed("{%- else %}\n    {%- if messages[0]", "{%- elif x %}\n    {%- if messages[0]"),
      "",
      "{% for",
  };
  for (const std::string& source : other) {
    const auto chat = load(source);  // rows of text need none
    ASSERT_NE(chat, nullptr) << source;
    EXPECT_EQ(chat->name(), "not known") << source;
    const std::string message = message_of<UnsupportedError>([&] {
      chat->render({{"user", "Hi"}}, false);
    });
    EXPECT_NE(message.find("set `chat_template` to the one"), std::string::npos) << source;
    EXPECT_NE(message.find("known: chatml"), std::string::npos) << source;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(ChatTemplate, KindsCanBeGiven) {
  EXPECT_EQ(load(kPlain, "none"), nullptr);
  const TempFolder empty;
  EXPECT_EQ(load_chat_template(empty.path(), "auto"), nullptr);
  EXPECT_EQ(rendered(*load_chat_template(empty.path(), "chatml"), {{"user", "Hi"}}),
            "<|im_start|>user\nHi<|im_end|>\n");
  EXPECT_EQ(rendered(*load("{{ other }}", "chatml"), {{"user", "Hi"}}),
            "<|im_start|>user\nHi<|im_end|>\n");
  EXPECT_EQ(rendered(*load(kWithTools, "chatml"), {{"user", "Hi"}}),
            rendered(*load(kWithTools), {{"user", "Hi"}}));
  EXPECT_EQ(message_of<ConfigError>([&] { load(kPlain, "alpaca"); }),
            "chat template `alpaca` is not known; known: auto, chatml, llama3, deepseek, mistral, "
            "qwen3, none");
}

TEST(ChatTemplate, OneFileOfItsOwnComesFirstAndListsHaveADefault) {
  const TempFolder folder;
  core::write_file_atomically(folder / "tokenizer_config.json",
                              R"({"chat_template":[{"name":"rag","template":"x"},
                                  {"name":"default","template":"{{ y }}"}]})");
  const std::string message = message_of<UnsupportedError>([&] {
    load_chat_template(folder.path(), "auto")->render({{"user", "Hi"}}, false);
  });
  EXPECT_NE(message.find("`chat_template[1]`"), std::string::npos) << message;
  core::write_file_atomically(folder / "chat_template.jinja", kPlain);
  EXPECT_NE(load_chat_template(folder.path(), "auto"), nullptr);
  core::write_file_atomically(folder / "chat_template.jinja", std::string(2 << 20, ' '));
  EXPECT_THROW(load_chat_template(folder.path(), "auto"), Error);
}

TEST(ChatTemplate, AListWithoutADefaultIsNotKnown) {
  const TempFolder folder;
  core::write_file_atomically(folder / "tokenizer_config.json",
                              R"({"chat_template":[{"name":"rag","template":"x"}]})");
  const auto chat = load_chat_template(folder.path(), "auto");
  const std::string message = message_of<UnsupportedError>([&] {
    chat->render({{"user", "Hi"}}, false);
  });
  EXPECT_NE(message.find("holds no template with the name `default`"), std::string::npos)
      << message;
}

/// What Llama 3's template begins with in a folder of these files.
std::string start_of_llama3(const std::string& config, const std::string& map,
                            const std::string& kind = "auto") {
  const TempFolder folder;
  core::write_file_atomically(
      folder / "chat_template.jinja",
      "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
      "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | "
      "trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
      "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
      "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}");
  core::write_file_atomically(folder / "tokenizer_config.json", config);
  if (!map.empty()) core::write_file_atomically(folder / "special_tokens_map.json", map);
  if (kind != "auto") std::filesystem::remove(folder / "chat_template.jinja");
  const std::string text = rendered(*load_chat_template(folder.path(), kind), {{"user", "Hi"}});
  return text.substr(0, text.find("<|start_header_id|>"));
}

TEST(ChatTemplate, TokensThatAreNotSetAreRenderedAsNothing) {
  // As transformers 5.17 renders them.
  EXPECT_EQ(start_of_llama3(R"({"bos_token": "<b>"})", ""), "<b>");
  EXPECT_EQ(start_of_llama3(R"({"bos_token": {"content": "<b>"}})", ""), "<b>");
  EXPECT_EQ(start_of_llama3(R"({"bos_token": null})", ""), "");
  EXPECT_EQ(start_of_llama3("{}", ""), "");
  EXPECT_EQ(start_of_llama3("{}", R"({"bos_token": {"content": "<m>"}})"), "<m>");
  EXPECT_EQ(start_of_llama3(R"({"tokenizer_class": "LlamaTokenizerFast"})", ""), "<s>");
  EXPECT_EQ(start_of_llama3(R"({"tokenizer_class": "LlamaTokenizer", "bos_token": null})", ""), "");
  EXPECT_EQ(start_of_llama3(R"({"bos_token": null})", "", "llama3"), "<|begin_of_text|>")
      << "a format that was asked for by name";
}

TEST(ChatTemplate, RefusesRolesWithoutAForm) {
  const auto chat = load(kPlain);
  EXPECT_EQ(message_of<InputError>([&] {
              chat->render({{"tool", "x"}}, false);
            }),
            "role `tool` has no form in chatml; expected system, user or assistant");
  EXPECT_EQ(message_of<InputError>([&] { chat->render({}, true); }),
            "a conversation without messages; expected one or more");
}

TEST(EncodeChat, TargetsAreTheAssistantsTokensAndTheEndOfTurn) {
  const auto tokenizer = testing::load_json(testing::tiny_tokenizer_json(testing::kByteLevelStep));
  const auto chat = load(kPlain);
  const EncodedChat encoded = encode_chat(*chat, *tokenizer, kTalk, false);
  TokenIds targets;
  for (std::size_t i = 0; i < encoded.ids.size(); ++i) {
    if (encoded.is_target[i]) targets.push_back(encoded.ids[i]);
  }
  // The line break before "Yes" is not part of it: another piece.
  EXPECT_EQ(tokenizer->decode(targets, false), "Yes\n<|im_end|>");
  std::string text;
  for (const ChatSpan& span : chat->render(kTalk, false)) text += span.text;
  EXPECT_EQ(encoded.ids, tokenizer->encode(text, false));
}

TEST(EncodeChat, ATokenAcrossTheBorderIsATarget) {
  const auto tokenizer = testing::load_json(testing::tiny_tokenizer_json(testing::kByteLevelStep));
  // "\n" of the template and "  " of the answer are one run of white space.
  const EncodedChat encoded =
      encode_chat(*load(kPlain), *tokenizer, {{"assistant", "\n  x"}}, false);
  const TokenizedText tokens =
      tokenizer->encode_with_ranges("<|im_start|>assistant\n\n  x<|im_end|>\n");
  ASSERT_EQ(encoded.ids, tokens.ids);
  const std::size_t content = std::string("<|im_start|>assistant\n").size();
  const std::size_t end = content + std::string("\n  x<|im_end|>").size();
  for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
    const bool inside = tokens.ranges[i].end > content && tokens.ranges[i].begin < end;
    EXPECT_EQ(encoded.is_target[i], inside) << i;
  }
}

TEST(EncodeChat, AnEmptyAnswerStillTeachesTheEnd) {
  const auto tokenizer = testing::load_json(testing::tiny_tokenizer_json(testing::kByteLevelStep));
  const EncodedChat encoded = encode_chat(*load(kPlain), *tokenizer, {{"assistant", ""}}, false);
  for (std::size_t i = 0; i < encoded.ids.size(); ++i) {
    EXPECT_EQ(encoded.is_target[i], encoded.ids[i] == tokenizer->id_of("<|im_end|>"));
  }
}

TEST(EncodeChat, TargetsAreRightWhereNormalFormChangesTheText) {
  const auto tokenizer = testing::load_json(testing::tiny_tokenizer_json(
      std::string(R"("normalizer":{"type":"NFC"},)") + std::string(testing::kByteLevelStep)));
  const EncodedChat encoded =
      encode_chat(*load(kPlain), *tokenizer,
                  {{"user", "e\xCC\x81"}, {"assistant", "\xCC\x81 e\xCC\x81"}}, false);
  TokenIds targets;
  for (std::size_t i = 0; i < encoded.ids.size(); ++i) {
    if (encoded.is_target[i]) targets.push_back(encoded.ids[i]);
  }
  EXPECT_EQ(tokenizer->decode(targets, false), "\xCC\x81 \xC3\xA9<|im_end|>");
}

}  // namespace
}  // namespace distill::text
