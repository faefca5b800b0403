#include "generation/row_texts.h"

#include <type_traits>
#include <variant>

#include <distill/core/error.h>
#include <distill/data/document_row.h>

namespace distill::generation {

namespace {

using Texts = std::vector<const io::JsonValue*>;

void add_text(const io::JsonCursor& cursor, Texts& texts) {
  if (cursor.as_string().empty()) return;
  texts.push_back(&cursor.value());
}

/// What the user says.
void add_turns(const io::JsonCursor& turns, const char* speaker, const char* words, Texts& texts) {
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const std::string& role = turns.at(i).at(speaker).as_string();
    if (role == "user" || role == "human") add_text(turns.at(i).at(words), texts);
  }
}

Texts texts_by_form(const io::JsonlRow& row) {
  Texts texts;
  const io::JsonCursor cursor(row.value, row.source);
  switch (data::parse_document_row(row).form) {
    case data::RowForm::kText:
      add_text(cursor.at("text"), texts);
      break;
    case data::RowForm::kMessages:
      add_turns(cursor.at("messages"), "role", "content", texts);
      break;
    case data::RowForm::kConversations:
      add_turns(cursor.at("conversations"), "from", "value", texts);
      break;
    case data::RowForm::kPrompt:
      add_text(cursor.at("prompt"), texts);
      break;
    case data::RowForm::kInstruction:
      add_text(cursor.at("instruction"), texts);
      if (cursor.has("input")) add_text(cursor.at("input"), texts);
      break;
  }
  return texts;
}

}  // namespace

Texts find_texts(const io::JsonlRow& row, const std::vector<std::string>& fields) {
  Texts texts;
  if (fields.empty()) {
    texts = texts_by_form(row);
  } else {
    const io::JsonCursor cursor(row.value, row.source);
    for (const auto& field : fields) add_text(cursor.at(field), texts);
  }
  if (texts.empty()) fail<FormatError>(row.source, ": holds no text to say in other words");
  return texts;
}

void write_with(core::JsonWriter& json, const io::JsonValue& value, const NewTexts& texts) {
  if (const auto found = texts.find(&value); found != texts.end()) {
    json.value(found->second);
    return;
  }
  // The depth is bounded by the parser's limit.
  std::visit(
      [&](const auto& held) {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::nullptr_t>) {
          json.null();
        } else if constexpr (std::is_same_v<Held, io::JsonArray>) {
          json.begin_array();
          for (const auto& item : held) write_with(json, item, texts);
          json.end_array();
        } else if constexpr (std::is_same_v<Held, io::JsonObject>) {
          json.begin_object();
          for (const auto& [name, member] : held.members()) {
            json.key(name);
            write_with(json, member, texts);
          }
          json.end_object();
        } else {
          json.value(held);
        }
      },
      value.storage());
}

}  // namespace distill::generation
