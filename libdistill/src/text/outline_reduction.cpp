#include "text/outline_reduction.h"

#include <algorithm>
#include <array>
#include <optional>

namespace distill::text::detail {
namespace {

constexpr std::array kFalse = {
    "tools",
    "tools is not none",
    "custom_tools is defined",
    "builtin_tools is defined",
    "builtin_tools is defined or tools is not none",
    "builtin_tools is defined and tools is not none",
    "tools is not none and not tools_in_user_message",
    "tools_in_user_message and not tools is none",
    "tools is defined and tools is not none",
    "ns.is_tool",
    "message.tool_calls",
    "message.role == 'tool'",
    "message.role == 'tool' or message.role == 'ipython'",
    "'tool_calls' in message",
    "message.role == 'assistant' and 'tool_calls' in message",
    "message.role == 'assistant' and message.tool_calls",
    "message.role == 'assistant' and message.content is none",
    "message.content is none",
    "message.reasoning_content is string",
    "enable_thinking is defined and enable_thinking is false",
};
constexpr std::array kTrue = {
    "not tools_in_user_message is defined",
    "not tools is defined",
    "not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message)",
    "message.content is string",
};
/// Conditions of which a part is known.
constexpr std::pair<const char*, const char*> kSimpler[] = {
    {"message.role == 'assistant' and 'tool_calls' not in message", "message.role == 'assistant'"},
    {"message.role == 'assistant' and message.content is not none", "message.role == 'assistant'"},
    {"add_generation_prompt and not ns.is_tool", "add_generation_prompt"},
    {"strftime_now is defined", "strftime_now"},
};
/// Statements whose effect nothing depends on once the branches are gone.
constexpr std::array kNoEffect = {
    "{set tools_in_user_message = true}", "{set tools = none}",
    "{set ns.is_tool = false}",           "{set ns.is_first = false}",
    "{set tools = custom_tools}",         "{set ns.is_output_first = false}"};

template <class List>
bool contains(const List& list, std::string_view text) {
  return std::ranges::find(list, text) != std::end(list);
}

std::optional<bool> known(std::string_view condition) {
  if (contains(kFalse, condition)) return false;
  if (contains(kTrue, condition)) return true;
  return std::nullopt;
}

/// The condition of `{if C}` or `{elif C}`.
std::optional<std::string> condition_of(std::string_view item, std::string_view word) {
  const std::string head = "{" + std::string(word) + " ";
  if (!item.starts_with(head) || !item.ends_with('}')) return std::nullopt;
  std::string condition(item.substr(head.size(), item.size() - head.size() - 1));
  for (const auto& [from, to] : kSimpler) {
    if (condition == from) return to;
  }
  return condition;
}

class Reducer {
 public:
  explicit Reducer(const TemplateOutline& items) : items_(items) {}

  TemplateOutline reduce() {
    block();
    if (at_ != items_.size()) out_.push_back("{unbalanced}");  // then it is none of ours
    return std::move(out_);
  }

 private:
  bool at_end_of_block() const {
    const std::string& item = items_[at_];
    return item == "{endif}" || item == "{else}" || item.starts_with("{elif ");
  }

  /// Items up to the end of a branch.
  void block() {
    while (at_ < items_.size() && !at_end_of_block()) {
      if (const auto condition = condition_of(items_[at_], "if")) {
        ++at_;
        branches(*condition);
      } else {
        emit(items_[at_++]);
      }
    }
  }

  /// All branches of an if whose first condition has been read.
  void branches(std::optional<std::string> condition) {
    bool open = false;   // an `{if}` was written
    bool taken = false;  // what follows is never reached
    while (true) {
      const auto truth = condition ? known(*condition) : std::optional(true);
      const bool live = !taken && truth.value_or(true);
      TemplateOutline saved;
      if (!live) saved = out_;
      if (live && !(truth && *truth)) {
        emit((open ? "{elif " : "{if ") + *condition + "}");
        open = true;
      } else if (live && open) {
        emit("{else}");
      }
      block();
      if (!live) out_ = std::move(saved);
      taken = taken || (truth && *truth);
      if (at_ >= items_.size() || items_[at_] == "{endif}") break;
      condition = condition_of(items_[at_], "elif");
      ++at_;
    }
    ++at_;
    if (open) emit("{endif}");
  }

  void emit(const std::string& item) {
    if (contains(kNoEffect, item)) return;
    const bool joins = item.starts_with('<') && !out_.empty() && out_.back().starts_with('<');
    if (!joins) {
      out_.push_back(item);
      return;
    }
    std::string& last = out_.back();
    last.pop_back();
    const bool texts = last.ends_with('\'') && item.starts_with("<'");
    if (texts) last.pop_back();
    last += (texts ? "" : "+") + item.substr(texts ? 2 : 1);
  }

  const TemplateOutline& items_;
  std::size_t at_ = 0;
  TemplateOutline out_;
};

}  // namespace

TemplateOutline reduce_outline(TemplateOutline outline) {
  const TemplateOutline no_effect = {"{if not add_generation_prompt is defined}",
                                     "{set add_generation_prompt = false}", "{endif}"};
  if (outline.size() > 3 && std::equal(no_effect.begin(), no_effect.end(), outline.begin())) {
    outline.erase(outline.begin(), outline.begin() + 3);
  }
  return Reducer(outline).reduce();
}

}  // namespace distill::text::detail
