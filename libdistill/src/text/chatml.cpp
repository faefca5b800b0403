#include "text/chatml.h"

#include <algorithm>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "text/template_outline.h"

namespace distill::text::detail {
namespace {

constexpr std::string_view kStart = "<|im_start|>";
constexpr std::string_view kEnd = "<|im_end|>";

using Items = TemplateOutline;

constexpr std::string_view kMessage =
    R"(<'<|im_start|>'+message.role+'\n'+message.content+'<|im_end|>\n'>)";
constexpr std::string_view kDefault = "DEFAULT";

/// Just after the `{endif}` that belongs to the `{if}` at `at`; `at_branch` is called with the
/// index of each of its `{elif}` and `{else}`.
template <class AtBranch>
std::size_t skip_if(const Items& items, std::size_t at, AtBranch at_branch) {
  int depth = 0;
  for (; at < items.size(); ++at) {
    const std::string& item = items[at];
    if (item.starts_with("{if ")) ++depth;
    if (item == "{endif}" && --depth == 0) return at + 1;
    if (depth == 1 && (item.starts_with("{elif ") || item == "{else}")) at_branch(at);
  }
  return items.size();
}

void erase(Items& items, std::size_t begin, std::size_t end) {
  items.erase(items.begin() + static_cast<std::ptrdiff_t>(begin),
              items.begin() + static_cast<std::ptrdiff_t>(end));
}

/// Conversations here have no tools: of `{if tools}A{else}B{endif}` only B counts.
void drop_tools_branch(Items& items) {
  const auto found = std::ranges::find(items, "{if tools}");
  if (found == items.end()) return;
  const auto begin = static_cast<std::size_t>(found - items.begin());
  std::vector<std::size_t> branches;
  const std::size_t end = skip_if(items, begin, [&](std::size_t at) { branches.push_back(at); });
  if (branches.size() != 1 || items[branches[0]] != "{else}") return;
  erase(items, end - 1, end);
  erase(items, begin, branches[0] + 1);
}

/// After a branch that takes every message but a first system message and those of tools, what is
/// for the assistant's tool calls and for tools is never reached.
void drop_tool_messages(Items& items, const std::string& condition) {
  const auto found = std::ranges::find(items, condition);
  if (found == items.end()) return;
  const auto begin = static_cast<std::size_t>(found - items.begin());
  std::vector<std::size_t> branches;
  const std::size_t end = skip_if(items, begin, [&](std::size_t at) { branches.push_back(at); });
  const auto for_tools = [&](std::size_t at) {
    return items[at] == "{elif message.role == 'assistant'}" ||
           items[at] == "{elif message.role == 'tool'}";
  };
  if (branches.empty() || !std::ranges::all_of(branches, for_tools)) return;
  erase(items, branches[0], end - 1);
}

/// `<'<|im_start|>system\nTEXT<|im_end|>\n'>` gives TEXT.
std::optional<std::string> default_system_of(std::string_view item) {
  if (!item.starts_with('<') || !item.ends_with('>')) return std::nullopt;
  auto text = unquote_text(item.substr(1, item.size() - 2));
  const std::string head = core::concat(kStart, "system\n");
  const std::string tail = core::concat(kEnd, "\n");
  if (!text || !text->starts_with(head) || !text->ends_with(tail)) return std::nullopt;
  if (text->size() < head.size() + tail.size()) return std::nullopt;
  return text->substr(head.size(), text->size() - head.size() - tail.size());
}

std::vector<Items> known_forms(const std::string& all_but_first_system) {
  const Items generation = {"{if add_generation_prompt}", R"(<'<|im_start|>assistant\n'>)",
                            "{endif}"};
  const Items first_system = {"{if messages[0].role == 'system'}",
                              R"(<'<|im_start|>system\n'+messages[0].content+'<|im_end|>\n'>)",
                              "{else}", std::string(kDefault), "{endif}"};
  const Items loop = {"{for message in messages}"};
  const auto join = [](std::initializer_list<Items> parts) {
    Items all;
    for (const Items& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  };
  const auto rest = [&](const std::string& condition) {
    return Items{condition, std::string(kMessage), "{endif}", "{endfor}"};
  };
  return {
      join({loop, {std::string(kMessage), "{endfor}"}, generation}),
      join({loop,
            {"{if loop.first and messages[0].role != 'system'}", std::string(kDefault), "{endif}",
             std::string(kMessage), "{endfor}"},
            generation}),
      join({first_system, loop, rest("{if message.role != 'system' or not loop.first}"),
            generation}),
      join({first_system, loop, rest(all_but_first_system), generation}),
  };
}

}  // namespace

std::optional<ChatMl> recognise_chatml(std::string_view source) {
  auto outline = outline_template(source);
  if (!outline) return std::nullopt;
  Items& items = *outline;
  const Items no_effect = {"{if not add_generation_prompt is defined}",
                           "{set add_generation_prompt = false}", "{endif}"};
  if (items.size() > 3 && std::equal(no_effect.begin(), no_effect.end(), items.begin())) {
    erase(items, 0, 3);
  }
  const std::string all_but_first_system =
      "{if (message.role == 'user') or (message.role == 'system' and not loop.first) or "
      "(message.role == 'assistant' and not message.tool_calls)}";
  drop_tools_branch(items);
  drop_tool_messages(items, all_but_first_system);
  std::optional<std::string> default_system;
  for (std::string& item : items) {
    auto text = default_system ? std::nullopt : default_system_of(item);
    if (!text) continue;
    default_system = std::move(text);
    item = kDefault;
  }
  for (const Items& form : known_forms(all_but_first_system)) {
    if (form == items) return ChatMl(std::move(default_system));
  }
  return std::nullopt;
}

ChatMl::ChatMl(std::optional<std::string> default_system)
    : default_system_(std::move(default_system)) {}

std::vector<ChatSpan> ChatMl::render(const std::vector<ChatMessage>& messages,
                                     bool add_generation_prompt) const {
  if (messages.empty()) fail<InputError>("a conversation without messages; expected one or more");
  std::vector<ChatSpan> spans;
  const auto add = [&](std::string_view text, bool is_target) {
    if (spans.empty() || spans.back().is_target != is_target) spans.push_back({"", is_target});
    spans.back().text += text;
  };
  const auto add_message = [&](std::string_view role, std::string_view content) {
    add(core::concat(kStart, role, "\n"), false);
    add(core::concat(content, kEnd), role == "assistant");
    add("\n", false);
  };
  if (default_system_ && messages[0].role != "system") add_message("system", *default_system_);
  for (const ChatMessage& message : messages) {
    const std::string& role = message.role;
    if (role != "system" && role != "user" && role != "assistant") {
      fail<InputError>("role `", core::printable(role),
                       "` has no form in chatml; expected system, user or assistant");
    }
    add_message(role, message.content);
  }
  if (add_generation_prompt) add(core::concat(kStart, "assistant\n"), false);
  return spans;
}

}  // namespace distill::text::detail
