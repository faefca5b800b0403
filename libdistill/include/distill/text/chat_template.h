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

/// What `kind` may be: auto, the known formats, none.
const std::vector<std::string>& chat_template_kinds();

/// `kind`: auto (recognised from chat_template.jinja or tokenizer_config.json of the folder),
/// chatml, llama3, deepseek, mistral, qwen3, none. Null for none, and for auto when the folder has
/// no template. A format that is named takes the folder's own form of it when its template is one
/// (default system message, dates, spaces), otherwise the usual form.
/// A folder's template that is not known comes back as one named `not known`: rows of text need
/// none, and rendering a conversation throws UnsupportedError, saying how to go on. Throws
/// ConfigError for an unknown kind.
std::shared_ptr<const ChatTemplate> load_chat_template(const std::filesystem::path& folder,
                                                       const std::string& kind);

/// The ids that transformers gives for the rendered text, which is tokenized as one. Special tokens
/// written in a message become those tokens, as in transformers: filter untrusted text before.
/// A token is a target when any of its bytes are; the BOS of a post-processor is not added.
EncodedChat encode_chat(const ChatTemplate& chat, const Tokenizer& tokenizer,
                        const std::vector<ChatMessage>& messages, bool add_generation_prompt);
/// The same for a conversation that is rendered already.
EncodedChat encode_spans(const std::vector<ChatSpan>& spans, const Tokenizer& tokenizer);

}  // namespace distill::text
