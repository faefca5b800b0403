#include <distill/text/chat_template.h>

#include <algorithm>
#include <optional>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

#include "text/chat_forms.h"
#include "text/chatml.h"

namespace distill::text {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxTemplateBytes = 1 << 20;

struct TemplateText {
  std::string text;
  std::string where;  ///< for messages
};

/// Stands for a template that was not recognised, until a conversation needs it.
class UnknownTemplate : public ChatTemplate {
 public:
  explicit UnknownTemplate(std::string where) : where_(std::move(where)) {}
  std::string name() const override { return "not known"; }
  std::vector<ChatSpan> render(const std::vector<ChatMessage>& /*messages*/,
                               bool /*add_generation_prompt*/) const override {
    fail<UnsupportedError>(where_,
                           ": this chat template is not known; known: chatml, llama3, deepseek, "
                           "mistral, qwen3 in their published forms; set `chat_template` to the "
                           "one the model was trained with, or to none for rows of text");
  }

 private:
  std::string where_;
};

/// One template, or the one named `default` of a list.
std::optional<TemplateText> template_of_config(const io::JsonCursor& config) {
  if (!config.has("chat_template")) return std::nullopt;
  const io::JsonCursor node = config.at("chat_template");
  if (!node.value().is_array()) return TemplateText{node.as_string(), node.where()};
  for (std::size_t i = 0; i < node.size(); ++i) {
    const io::JsonCursor entry = node.at(i);
    if (entry.at("name").as_string() == "default") {
      return TemplateText{entry.at("template").as_string(), entry.where()};
    }
  }
  // Not known, like a template of no known form: rows of text need none.
  return TemplateText{"", core::concat(node.where(), " holds no template with the name `default`")};
}

/// As transformers: the file of its own comes first.
std::optional<TemplateText> read_template(const fs::path& folder) {
  const fs::path own = folder / "chat_template.jinja";
  if (core::path_exists(own))
    return TemplateText{core::read_file(own, kMaxTemplateBytes), own.string()};
  const fs::path path = folder / "tokenizer_config.json";
  if (!core::path_exists(path)) return std::nullopt;
  const io::JsonValue config = io::read_json_file(path);
  return template_of_config(io::JsonCursor(config, path.string()));
}

/// `name` of a file, a text or an object with `content`; empty when it is null; nothing when the
/// file does not mention it.
std::optional<std::string> token_of(const fs::path& path, std::string_view name) {
  if (!core::path_exists(path)) return std::nullopt;
  const io::JsonValue value = io::read_json_file(path);
  const io::JsonCursor file(value, path.string());
  if (file.as_object().find(name) == nullptr) return std::nullopt;
  if (!file.has(name)) return "";
  const io::JsonCursor token = file.at(name);
  return token.value().is_object() ? token.at("content").as_string() : token.as_string();
}

/// By the files and in the order that the tokenizer's own roles are read by.
std::optional<std::string> token_of_folder(const fs::path& folder, std::string_view name) {
  const auto token = token_of(folder / "tokenizer_config.json", name);
  return token ? token : token_of(folder / "special_tokens_map.json", name);
}

/// Only transformers' class for Llama 2 has tokens that its files need not name.
std::string token_of_class(const fs::path& folder, std::string_view token) {
  const auto name = token_of(folder / "tokenizer_config.json", "tokenizer_class");
  return name && name->starts_with("LlamaTokenizer") ? std::string(token) : "";
}

/// What a template of the folder finds under the names of its tokens.
detail::ChatTokens tokens_of_template(const fs::path& folder) {
  const auto bos = token_of_folder(folder, "bos_token");
  const auto eos = token_of_folder(folder, "eos_token");
  return {bos ? bos : token_of_class(folder, "<s>"), eos ? eos : token_of_class(folder, "</s>")};
}

/// What a format that was asked for by name is written with: the folder's, or the format's own.
detail::ChatTokens tokens_of_format(const fs::path& folder) {
  detail::ChatTokens tokens{token_of_folder(folder, "bos_token"),
                            token_of_folder(folder, "eos_token")};
  if (tokens.bos == "") tokens.bos.reset();
  if (tokens.eos == "") tokens.eos.reset();
  return tokens;
}

std::shared_ptr<const ChatTemplate> recognise(std::string_view source,
                                              const detail::ChatTokens& tokens) {
  if (auto chatml = detail::recognise_chatml(source)) {
    return std::make_shared<detail::ChatMl>(std::move(*chatml));
  }
  return detail::recognise_chat(source, tokens);
}

/// The usual form of a format that was asked for by name.
std::shared_ptr<const ChatTemplate> make_named(const std::string& kind,
                                               const detail::ChatTokens& tokens) {
  if (kind == "chatml") return std::make_shared<detail::ChatMl>(std::nullopt);
  if (kind == "llama3") return std::make_shared<detail::Llama3Chat>(tokens, true);
  if (kind == "deepseek") {
    return std::make_shared<detail::DeepSeekChat>(tokens, detail::DeepSeekChat::Options{});
  }
  if (kind == "mistral") {
    return std::make_shared<detail::MistralChat>(tokens, detail::MistralChat::Options{});
  }
  return std::make_shared<detail::Qwen3Chat>();
}

}  // namespace

const std::vector<std::string>& chat_template_kinds() {
  static const std::vector<std::string> kinds = {"auto",    "chatml", "llama3", "deepseek",
                                                 "mistral", "qwen3",  "none"};
  return kinds;
}

std::shared_ptr<const ChatTemplate> load_chat_template(const fs::path& folder,
                                                       const std::string& kind) {
  if (kind == "none") return nullptr;
  if (std::ranges::find(chat_template_kinds(), kind) == chat_template_kinds().end()) {
    fail<ConfigError>("chat template `", core::printable(kind),
                      "` is not known; known: ", core::join(chat_template_kinds()));
  }
  const auto source = read_template(folder);
  // The folder's own form of a format that was named, where there is one.
  auto found = source ? recognise(source->text, tokens_of_template(folder)) : nullptr;
  if (found && (kind == "auto" || found->name() == kind)) return found;
  if (kind != "auto") return make_named(kind, tokens_of_format(folder));
  if (!source) return nullptr;
  return std::make_shared<UnknownTemplate>(source->where);
}

EncodedChat encode_chat(const ChatTemplate& chat, const Tokenizer& tokenizer,
                        const std::vector<ChatMessage>& messages, bool add_generation_prompt) {
  return encode_spans(chat.render(messages, add_generation_prompt), tokenizer);
}

EncodedChat encode_spans(const std::vector<ChatSpan>& spans, const Tokenizer& tokenizer) {
  std::string text;
  std::vector<ByteRange> targets;
  for (const ChatSpan& span : spans) {
    if (span.is_target) targets.push_back({text.size(), text.size() + span.text.size()});
    text += span.text;
  }
  TokenizedText tokens = tokenizer.encode_with_ranges(text);
  EncodedChat result;
  result.is_target.reserve(tokens.ids.size());
  auto target = targets.begin();
  for (const ByteRange& range : tokens.ranges) {
    while (target != targets.end() && target->end <= range.begin) ++target;
    // The space that a tokenizer puts before a text comes from no byte: it belongs to what follows.
    const std::size_t end = std::max(range.end, range.begin + 1);
    result.is_target.push_back(target != targets.end() && target->begin < end);
  }
  result.ids = std::move(tokens.ids);
  return result;
}

}  // namespace distill::text
