#include <distill/text/chat_template.h>

#include <optional>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

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
                           ": this chat template is not known; known: chatml (with or without a "
                           "default system message); set `chat_template: chatml` or `none`");
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
  node.fail("holds no template with the name `default`");
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

}  // namespace

std::shared_ptr<const ChatTemplate> load_chat_template(const fs::path& folder,
                                                       const std::string& kind) {
  if (kind == "none") return nullptr;
  if (kind != "auto" && kind != "chatml") {
    fail<ConfigError>("chat template `", core::printable(kind),
                      "` is not known; known: auto, chatml, none");
  }
  const auto source = read_template(folder);
  if (source) {
    if (auto chatml = detail::recognise_chatml(source->text)) {
      return std::make_shared<detail::ChatMl>(std::move(*chatml));
    }
  }
  if (kind == "chatml") return std::make_shared<detail::ChatMl>(std::nullopt);
  if (!source) return nullptr;
  return std::make_shared<UnknownTemplate>(source->where);
}

EncodedChat encode_chat(const ChatTemplate& chat, const Tokenizer& tokenizer,
                        const std::vector<ChatMessage>& messages, bool add_generation_prompt) {
  std::string text;
  std::vector<ByteRange> targets;
  for (const ChatSpan& span : chat.render(messages, add_generation_prompt)) {
    if (span.is_target) targets.push_back({text.size(), text.size() + span.text.size()});
    text += span.text;
  }
  TokenizedText tokens = tokenizer.encode_with_ranges(text);
  EncodedChat result;
  result.is_target.reserve(tokens.ids.size());
  auto target = targets.begin();
  for (const ByteRange& range : tokens.ranges) {
    while (target != targets.end() && target->end <= range.begin) ++target;
    result.is_target.push_back(target != targets.end() && target->begin < range.end);
  }
  result.ids = std::move(tokens.ids);
  return result;
}

}  // namespace distill::text
