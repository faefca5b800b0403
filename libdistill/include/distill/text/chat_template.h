#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <distill/text/tokenizer.h>

namespace distill::text {

struct ChatMessage {
  std::string role;
  std::string content;
};

/// A rendered conversation, cut where the loss mask changes.
struct ChatSpan {
  std::string text;
  bool is_target = false;  ///< the assistant's words and its end-of-turn token
};

/// The tokens of a conversation and which of them the student should learn to produce.
struct EncodedChat {
  TokenIds ids;
  std::vector<bool> is_target;
};

/// A known chat format. Templates are recognised, never executed.
class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  /// `chatml`, ...
  virtual std::string name() const = 0;
  /// Throws InputError for roles or orders the format has no form for.
  virtual std::vector<ChatSpan> render(const std::vector<ChatMessage>& messages,
                                       bool add_generation_prompt) const = 0;
};

/// `kind`: auto (recognised from tokenizer_config.json of the folder), chatml, none. Null for none.
/// Throws UnsupportedError for a template that is not known, saying how to go on.
std::shared_ptr<const ChatTemplate> load_chat_template(const std::filesystem::path& folder,
                                                       const std::string& kind);

EncodedChat encode_chat(const ChatTemplate& chat, const Tokenizer& tokenizer,
                        const std::vector<ChatMessage>& messages, bool add_generation_prompt);

}  // namespace distill::text
