#include "text/chat_forms.h"

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "text/outline_reduction.h"
#include "unit/text/tiny_tokenizer.h"

namespace distill::text {
namespace {

using testing::message_of;
using testing::TempFolder;

/// What is learned stands in square brackets.
std::string rendered(const ChatTemplate& chat, const std::vector<ChatMessage>& messages,
                     bool prompt = false) {
  std::string text;
  for (const ChatSpan& span : chat.render(messages, prompt)) {
    text += span.is_target ? "[" + span.text + "]" : span.text;
  }
  return text;
}

std::shared_ptr<const ChatTemplate> named(const std::string& kind) {
  const TempFolder empty;
  return load_chat_template(empty.path(), kind);
}

const std::vector<ChatMessage> kTalk = {{"user", " Hi "},
                                        {"assistant", "<think>\nhm\n</think>\n\nYes "},
                                        {"user", "So"},
                                        {"assistant", "No"}};

TEST(ChatForms, Llama3) {
  const auto chat = named("llama3");
  const std::string head =
      "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: "
      "December 2023\nToday Date: 26 Jul 2024\n\n";
  EXPECT_EQ(rendered(*chat, {{"system", " Be brief. "}, {"user", " Hi\n"}, {"assistant", " Yes "}}),
            head +
                "Be brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\n[Yes<|eot_id|>]");
  EXPECT_EQ(rendered(*chat, {{"user", "Hi"}}, true),
            head +
                "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

TEST(ChatForms, DeepSeekDropsTheReasoning) {
  EXPECT_EQ(rendered(*named("deepseek"), kTalk, true),
            "<｜begin▁of▁sentence｜><｜User｜> Hi <｜Assistant｜>[\n\nYes <｜end▁of▁sentence｜>]"
            "<｜User｜>So<｜Assistant｜>[No<｜end▁of▁sentence｜>]<｜Assistant｜>");
  EXPECT_EQ(rendered(*named("deepseek"), {{"system", "A"}, {"user", "x"}, {"system", "B"}}),
            "<｜begin▁of▁sentence｜>A\n\nB<｜User｜>x");
}

TEST(ChatForms, Mistral) {
  const auto chat = named("mistral");
  EXPECT_EQ(rendered(*chat, {{"user", "Hi"}, {"assistant", "Yes"}, {"user", "So"}}, true),
            "<s>[INST] Hi [/INST][Yes</s>][INST] So [/INST]");
  EXPECT_NE(message_of<InputError>([&] {
              chat->render({{"system", "x"}, {"user", "y"}}, false);
            }).find("put a system message into the first user message"),
            std::string::npos);
}

TEST(ChatForms, Qwen3KeepsTheReasoningOfTheLastAnswerOnly) {
  EXPECT_EQ(rendered(*named("qwen3"), kTalk, true),
            "<|im_start|>user\n Hi <|im_end|>\n<|im_start|>assistant\n[Yes <|im_end|>]\n"
            "<|im_start|>user\nSo<|im_end|>\n<|im_start|>assistant\n"
            "[<think>\n\n</think>\n\nNo<|im_end|>]\n<|im_start|>assistant\n");
  EXPECT_EQ(rendered(*named("qwen3"), {kTalk[0], kTalk[1]}),
            "<|im_start|>user\n Hi <|im_end|>\n<|im_start|>assistant\n"
            "[<think>\nhm\n</think>\n\nYes <|im_end|>]\n");
}

TEST(ChatForms, EveryFormRefusesOtherRoles) {
  for (const std::string kind : {"chatml", "llama3", "deepseek", "mistral", "qwen3"}) {
    const auto chat = named(kind);
    EXPECT_EQ(chat->name(), kind);
    EXPECT_EQ(message_of<InputError>([&] {
                chat->render({{"tool", "x"}}, false);
              }),
              "role `tool` has no form in " + kind + "; expected system, user or assistant");
    EXPECT_THROW(chat->render({}, false), InputError);
  }
}

TEST(ChatForms, ThePublishedFormsAreRecognisedAndNothingElse) {
  const std::string mistral =
      "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != "
      "(loop.index0 % 2 == 0) %}{{ raise_exception('roles') }}{% endif %}{% if message['role'] == "
      "'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == "
      "'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('x') }}"
      "{% endif %}{% endfor %}";
  const auto chat = detail::recognise_chat(mistral, {"<b>", "<e>"});
  ASSERT_NE(chat, nullptr);
  EXPECT_EQ(rendered(*chat, {{"user", "Hi"}, {"assistant", "Yes"}}),
            "<b>[INST] Hi [/INST][Yes<e>]");
  // A token that is not set is rendered as nothing.
  const auto bare = detail::recognise_chat(mistral, {"", ""});
  EXPECT_EQ(rendered(*bare, {{"user", "Hi"}, {"assistant", "Yes"}}), "[INST] Hi [/INST][Yes]");
  const std::pair<const char*, const char*> changes[] = {
      {"% 2 == 0", "% 2 == 1"},
      {"' [/INST]'", "'[/INST]'"},
      {"{% endfor %}", "{% endfor %}{{ bos_token }}"},
      {"{% endfor %}", "{% endif %}{% endfor %}"},
      {"message['content'] + eos_token", "message['content'] | trim + eos_token"},
      {"{{ bos_token }}", ""},
  };
  for (const auto& [from, to] : changes) {
    EXPECT_EQ(detail::recognise_chat(testing::replaced(mistral, from, to), {}), nullptr) << to;
  }
}

TEST(OutlineReduction, DropsWhatIsNeverReachedAndJoins) {
  const auto reduce = [](const char* source) {
    return detail::reduce_outline(*detail::outline_template(source));
  };
  using Items = detail::TemplateOutline;
  EXPECT_EQ(reduce("{{ 'a' }}{% if tools %}{{ 'b' }}{% if x %}{% endif %}{% endif %}{{ 'c' + d }}"),
            (Items{"<'ac'+d>"}));
  EXPECT_EQ(reduce("{% if tools %}a{% elif x %}b{% else %}c{% endif %}"),
            (Items{"{if x}", "<'b'>", "{else}", "<'c'>", "{endif}"}));
  EXPECT_EQ(reduce("{% if x %}b{% elif tools %}a{% endif %}"),
            (Items{"{if x}", "<'b'>", "{endif}"}));
  EXPECT_EQ(reduce("{% if not tools is defined %}a{% else %}b{% endif %}"), (Items{"<'a'>"}));
  EXPECT_EQ(reduce("a{% endif %}b"), (Items{"<'a'>", "{unbalanced}"}));
  EXPECT_EQ(reduce("{% if x %}b"), (Items{"{if x}", "<'b'>", "{endif}", "{unbalanced}"}));
}

TEST(EncodeChat, ASpaceThatTheTokenizerPutsBeforeAnAnswerIsLearned) {
  struct Spaced final : Tokenizer {
    TokenIds encode(std::string_view, bool, bool) const override { return {}; }
    TokenizedText encode_with_ranges(std::string_view text, bool) const override {
      const std::size_t answer = text.find("Yes");
      return {{1, 2, 3, 4},
              {{0, answer}, {answer, answer}, {answer, answer + 3}, {answer + 3, text.size()}}};
    }
    std::string decode(const TokenIds&, bool) const override { return ""; }
    std::string token_bytes(std::int64_t) const override { return ""; }
    bool is_special(std::int64_t) const override { return false; }
    std::int64_t id_of(std::string_view) const override { return -1; }
    std::int64_t vocab_size() const override { return 5; }
    std::int64_t bos_id() const override { return -1; }
    std::int64_t eos_id() const override { return -1; }
    std::int64_t pad_id() const override { return -1; }
    std::string fingerprint() const override { return ""; }
  };
  const EncodedChat chat =
      encode_chat(*named("mistral"), Spaced(), {{"user", "Hi"}, {"assistant", "Yes"}}, false);
  EXPECT_EQ(chat.is_target, (std::vector<bool>{false, true, true, true}));
}

}  // namespace
}  // namespace distill::text
