#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <distill/text/chat_template.h>

namespace distill::text::detail {

/// Collects spans; neighbours of one kind become one.
class SpanWriter {
 public:
  void context(std::string_view text) { add(text, false); }
  void target(std::string_view text) { add(text, true); }
  std::vector<ChatSpan> take() { return std::move(spans_); }

 private:
  void add(std::string_view text, bool is_target);
  std::vector<ChatSpan> spans_;
};

/// Throws InputError for no messages, and for a role that is not system, user or assistant.
void check_roles(const std::vector<ChatMessage>& messages, std::string_view format);

/// Without white space at the ends, as Python's str.strip sees it.
std::string_view strip_text(std::string_view text);

/// The special tokens that templates name by their role. Nothing: the usual one of the format; an
/// empty text: none, as templates render a name that is not set.
struct ChatTokens {
  std::optional<std::string> bos;
  std::optional<std::string> eos;
};

/// Llama 3: `<|start_header_id|>ROLE<|end_header_id|>\n\nCONTENT<|eot_id|>`. From 3.1 on a system
/// message with two dates comes first.
class Llama3Chat final : public ChatTemplate {
 public:
  Llama3Chat(ChatTokens tokens, bool with_dates);
  std::string name() const override { return "llama3"; }
  std::vector<ChatSpan> render(const std::vector<ChatMessage>& messages,
                               bool add_generation_prompt) const override;

 private:
  std::string bos_;
  bool with_dates_;
};

/// DeepSeek V3 and R1.
class DeepSeekChat final : public ChatTemplate {
 public:
  struct Options {
    bool drops_reasoning = true;  ///< of an answer only what follows `</think>` stays
    bool joins_system = true;     ///< all system messages; otherwise the last one counts
    std::string prompt_suffix;    ///< after the generation prompt: `<think>\n`
  };
  DeepSeekChat(ChatTokens tokens, Options options);
  std::string name() const override { return "deepseek"; }
  std::vector<ChatSpan> render(const std::vector<ChatMessage>& messages,
                               bool add_generation_prompt) const override;

 private:
  std::string bos_;
  Options options_;
};

/// Mistral's `[INST] USER [/INST]ANSWER</s>`, user and assistant in turn.
class MistralChat final : public ChatTemplate {
 public:
  struct Options {
    std::string before_answer;
    std::string after_answer;  ///< after the EOS
  };
  MistralChat(ChatTokens tokens, Options options);
  std::string name() const override { return "mistral"; }
  std::vector<ChatSpan> render(const std::vector<ChatMessage>& messages,
                               bool add_generation_prompt) const override;

 private:
  std::string bos_;
  std::string eos_;
  Options options_;
};

/// Qwen 3: chatml whose answers after the last question carry their reasoning; earlier ones lose
/// it.
class Qwen3Chat final : public ChatTemplate {
 public:
  std::string name() const override { return "qwen3"; }
  std::vector<ChatSpan> render(const std::vector<ChatMessage>& messages,
                               bool add_generation_prompt) const override;
};

/// The format of a template, when it is surely one of those above.
std::shared_ptr<const ChatTemplate> recognise_chat(std::string_view source,
                                                   const ChatTokens& tokens);

}  // namespace distill::text::detail
