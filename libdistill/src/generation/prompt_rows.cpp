#include "generation/prompt_rows.h"

#include <distill/core/error.h>
#include <distill/data/document_row.h>

namespace distill::generation {

namespace {

/// Members that change what is meant; training refuses them as well.
void refuse_unread(const io::JsonCursor& row, const char* name) {
  if (!row.has(name)) return;
  const io::JsonCursor member = row.at(name);
  if (member.value().is_array() && member.size() == 0) return;
  member.fail("is not read; write it into the prompt, or leave it out");
}

}  // namespace

Conversation conversation_of(const io::JsonlRow& row) {
  const io::JsonCursor cursor(row.value, row.source);
  if (cursor.has("prompt") && !cursor.has("messages") && !cursor.has("conversations")) {
    const std::string& prompt = cursor.at("prompt").as_string();
    if (prompt.find_first_not_of(" \t\r\n") == std::string::npos) {
      cursor.at("prompt").fail("is empty, expected what a user says");
    }
    for (const char* name : {"tools", "functions", "history"}) refuse_unread(cursor, name);
    return {{"user", prompt}};
  }
  const data::DocumentRow document = data::parse_document_row(row);
  if (document.messages() == nullptr) {
    fail<FormatError>(row.source, ": is a text, expected `messages` or `prompt`");
  }
  Conversation chat = *document.messages();
  if (!chat.empty() && chat.back().role == "assistant") chat.pop_back();
  if (chat.empty() || chat.back().role != "user") {
    fail<FormatError>(row.source, ": the conversation ends with no turn of the user to answer");
  }
  return chat;
}

}  // namespace distill::generation
