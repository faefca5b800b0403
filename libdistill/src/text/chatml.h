#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <distill/text/chat_template.h>

namespace distill::text::detail {

/// `<|im_start|>ROLE\nCONTENT<|im_end|>\n` for each message, after a default system message when
/// the first one is of another role.
class ChatMl final : public ChatTemplate {
 public:
  explicit ChatMl(std::optional<std::string> default_system);
  std::string name() const override { return "chatml"; }
  std::vector<ChatSpan> render(const std::vector<ChatMessage>& messages,
                               bool add_generation_prompt) const override;

 private:
  std::optional<std::string> default_system_;
};

/// The template as a ChatMl, when it is one that renders just so. Known are the plain form, and
/// those of SmolLM2, Qwen 2 and Qwen 2.5, with any default system message.
std::optional<ChatMl> recognise_chatml(std::string_view source);

}  // namespace distill::text::detail
