#include "text/chat_forms.h"

#include <algorithm>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "text/unicode.h"

namespace distill::text::detail {
namespace {

using core::concat;

bool is_python_space(char32_t c) {
  return char_class(c) == CharClass::kSpace || (c >= 0x1C && c <= 0x1F);
}

std::string_view strip_chars(std::string_view text, char c, bool left, bool right) {
  while (left && text.starts_with(c)) text.remove_prefix(1);
  while (right && text.ends_with(c)) text.remove_suffix(1);
  return text;
}

constexpr std::string_view kThink = "<think>";
constexpr std::string_view kEndThink = "</think>";

/// What follows the last `</think>`; all of it where there is none.
std::string_view after_reasoning(std::string_view content) {
  const std::size_t end = content.rfind(kEndThink);
  return end == std::string_view::npos ? content : content.substr(end + kEndThink.size());
}

}  // namespace

void SpanWriter::add(std::string_view text, bool is_target) {
  if (spans_.empty() || spans_.back().is_target != is_target) spans_.push_back({"", is_target});
  spans_.back().text += text;
}

void check_roles(const std::vector<ChatMessage>& messages, std::string_view format) {
  if (messages.empty()) fail<InputError>("a conversation without messages; expected one or more");
  for (const ChatMessage& message : messages) {
    const std::string& role = message.role;
    if (role != "system" && role != "user" && role != "assistant") {
      fail<InputError>("role `", core::printable(role), "` has no form in ", format,
                       "; expected system, user or assistant");
    }
  }
}

std::string_view strip_text(std::string_view text) {
  while (!text.empty()) {
    const CodePoint first = code_point_at(text, 0);
    if (!is_python_space(first.value)) break;
    text.remove_prefix(first.size);
  }
  while (!text.empty()) {
    std::size_t last = text.size() - 1;
    while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xC0) == 0x80) --last;
    if (!is_python_space(code_point_at(text, last).value)) break;
    text = text.substr(0, last);
  }
  return text;
}

Llama3Chat::Llama3Chat(ChatTokens tokens, bool with_dates)
    : bos_(tokens.bos.value_or("<|begin_of_text|>")), with_dates_(with_dates) {}

std::vector<ChatSpan> Llama3Chat::render(const std::vector<ChatMessage>& messages,
                                         bool add_generation_prompt) const {
  check_roles(messages, name());
  SpanWriter out;
  const auto header = [](std::string_view role) {
    return concat("<|start_header_id|>", role, "<|end_header_id|>\n\n");
  };
  constexpr std::string_view kEnd = "<|eot_id|>";
  out.context(bos_);
  std::size_t first = 0;
  if (with_dates_) {
    const bool has_system = messages[0].role == "system";
    // The date that the template itself falls back to: today's would change the ids every day.
    out.context(concat(header("system"), "Cutting Knowledge Date: December 2023\n",
                       "Today Date: 26 Jul 2024\n\n",
                       has_system ? strip_text(messages[0].content) : "", kEnd));
    first = has_system ? 1 : 0;
  }
  for (std::size_t i = first; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    out.context(header(message.role));
    const std::string turn = concat(strip_text(message.content), kEnd);
    message.role == "assistant" ? out.target(turn) : out.context(turn);
  }
  if (add_generation_prompt) out.context(header("assistant"));
  return out.take();
}

DeepSeekChat::DeepSeekChat(ChatTokens tokens, Options options)
    : bos_(tokens.bos.value_or("<｜begin▁of▁sentence｜>")), options_(std::move(options)) {}

std::vector<ChatSpan> DeepSeekChat::render(const std::vector<ChatMessage>& messages,
                                           bool add_generation_prompt) const {
  check_roles(messages, name());
  std::string system;
  bool first_system = true;
  for (const ChatMessage& message : messages) {
    if (message.role != "system") continue;
    if (!options_.joins_system) {
      system = message.content;
    } else {
      system += concat(first_system ? "" : "\n\n", message.content);
    }
    first_system = false;
  }
  SpanWriter out;
  out.context(concat(bos_, system));
  for (const ChatMessage& message : messages) {
    if (message.role == "user") out.context(concat("<｜User｜>", message.content));
    if (message.role != "assistant") continue;
    const std::string_view content =
        options_.drops_reasoning ? after_reasoning(message.content) : message.content;
    out.context("<｜Assistant｜>");
    out.target(concat(content, "<｜end▁of▁sentence｜>"));
  }
  if (add_generation_prompt) out.context(concat("<｜Assistant｜>", options_.prompt_suffix));
  return out.take();
}

MistralChat::MistralChat(ChatTokens tokens, Options options)
    : bos_(tokens.bos.value_or("<s>")),
      eos_(tokens.eos.value_or("</s>")),
      options_(std::move(options)) {}

std::vector<ChatSpan> MistralChat::render(const std::vector<ChatMessage>& messages,
                                          bool /*add_generation_prompt*/) const {
  check_roles(messages, name());
  SpanWriter out;
  out.context(bos_);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    if (message.role != (i % 2 == 0 ? "user" : "assistant")) {
      fail<InputError>(
          "message ", i + 1, " is of the role `", message.role,
          "`, but mistral takes user and assistant in turn, beginning with user; put a ",
          "system message into the first user message");
    }
    if (message.role == "user") {
      out.context(concat("[INST] ", message.content, " [/INST]"));
    } else {
      out.context(options_.before_answer);
      out.target(concat(message.content, eos_));
      out.context(options_.after_answer);
    }
  }
  return out.take();
}

std::vector<ChatSpan> Qwen3Chat::render(const std::vector<ChatMessage>& messages,
                                        bool add_generation_prompt) const {
  check_roles(messages, name());
  std::size_t last_query = messages.size() - 1;
  for (std::size_t i = messages.size(); i-- > 0;) {
    const std::string& content = messages[i].content;
    if (messages[i].role != "user" ||
        (content.starts_with("<tool_response>") && content.ends_with("</tool_response>"))) {
      continue;
    }
    last_query = i;
    break;
  }
  SpanWriter out;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    out.context(concat("<|im_start|>", message.role, "\n"));
    if (message.role != "assistant") {
      out.context(concat(message.content, "<|im_end|>\n"));
      continue;
    }
    std::string_view content = message.content;
    std::string_view reasoning;
    if (const std::size_t end = content.find(kEndThink); end != std::string_view::npos) {
      reasoning = strip_chars(content.substr(0, end), '\n', false, true);
      if (const std::size_t begin = reasoning.rfind(kThink); begin != std::string_view::npos) {
        reasoning = reasoning.substr(begin + kThink.size());
      }
      reasoning = strip_chars(reasoning, '\n', true, true);
      content = strip_chars(after_reasoning(content), '\n', true, false);
    }
    const bool last = i + 1 == messages.size();
    if (i > last_query && (last || !reasoning.empty())) {
      out.target(concat(kThink, "\n", reasoning, "\n", kEndThink, "\n\n",
                        strip_chars(content, '\n', true, false)));
    } else {
      out.target(content);
    }
    out.target("<|im_end|>");
    out.context("\n");
  }
  if (add_generation_prompt) out.context("<|im_start|>assistant\n");
  return out.take();
}

}  // namespace distill::text::detail
