#include "commands/prompt_rows.h"

#include <distill/core/error.h>
#include <distill/data/document_row.h>

namespace distill::commands {

Conversation conversation_of(const io::JsonlRow& row) {
  const io::JsonCursor cursor(row.value, row.source);
  if (cursor.has("prompt") && !cursor.has("messages") && !cursor.has("conversations")) {
    const std::string& prompt = cursor.at("prompt").as_string();
    if (prompt.find_first_not_of(" \t\r\n") == std::string::npos) {
      cursor.at("prompt").fail("is empty, expected what a user says");
    }
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

}  // namespace distill::commands
