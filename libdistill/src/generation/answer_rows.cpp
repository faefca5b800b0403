#include "generation/answer_rows.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <variant>

#include <distill/io/json_value.h>

#include "generation/answer_text.h"
#include "generation/row_texts.h"

namespace distill::generation {

namespace {

/// Members by which a form of row is known; there is one of them, others are null.
constexpr std::array<std::string_view, 5> kForms = {"text", "messages", "conversations", "prompt",
                                                    "instruction"};
/// Where an answer of an earlier call came from.
constexpr std::string_view kProvenance = "generation";

bool is_one_of(std::string_view name, auto names) {
  return std::ranges::find(names, name) != names.end();
}

/// Whether a member was read as a part of the row's form (docs/formats/data.md).
bool belongs_to_form(std::string_view name, const io::JsonCursor& row) {
  if (is_one_of(name, kForms) || name == kProvenance) return true;
  if (row.has("prompt")) return name == "completion";
  if (row.has("conversations")) return name == "system";
  constexpr std::array<std::string_view, 3> kOfInstruction = {"input", "output", "system"};
  return row.has("instruction") && is_one_of(name, kOfInstruction);
}

}  // namespace

void write_lesson(core::JsonWriter& json, const Conversation& chat, const std::string& answer,
                  bool continues) {
  if (continues) {
    json.member("prompt", text_to_continue(chat)).member("completion", answer);
    return;
  }
  const auto turn = [&json](const std::string& role, const std::string& content) {
    json.begin_object().member("role", role).member("content", content).end_object();
  };
  json.key("messages").begin_array();
  for (const auto& message : chat) turn(message.role, message.content);
  turn("assistant", answer);
  json.end_array();
}

void write_other_members(core::JsonWriter& json, const io::JsonlRow& row) {
  const io::JsonCursor cursor(row.value, row.source);
  for (const auto& [name, member] : std::get<io::JsonObject>(row.value.storage()).members()) {
    if (belongs_to_form(name, cursor)) continue;
    json.key(name);
    write_with(json, member, {});
  }
}

std::pair<Conversation, std::string> read_lesson(const io::JsonlRow& row) {
  const io::JsonCursor cursor(row.value, row.source);
  if (cursor.has("prompt")) {
    return {{{"user", cursor.at("prompt").as_string()}}, cursor.at("completion").as_string()};
  }
  const io::JsonCursor messages = cursor.at("messages");
  Conversation chat;
  for (std::size_t i = 0; i < messages.as_array().size(); ++i) {
    chat.push_back(
        {messages.at(i).at("role").as_string(), messages.at(i).at("content").as_string()});
  }
  if (chat.empty()) messages.fail("is empty, expected an answer");
  std::string answer = chat.back().content;
  chat.pop_back();
  return {std::move(chat), std::move(answer)};
}

}  // namespace distill::generation
