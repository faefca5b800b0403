#include <distill/data/document_row.h>

#include <algorithm>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

#include "data/member_names.h"

namespace distill::data {

namespace {

using Messages = std::vector<text::ChatMessage>;

constexpr auto kForms = choice_names(RowForm{});

/// Some words, not blanks alone.
const std::string& words(const io::JsonCursor& text, const char* expected) {
  if (text.as_string().find_first_not_of(" \t\r\n") == std::string::npos) {
    text.fail(
        core::concat(text.as_string().empty() ? "is empty" : "is blank", ", expected ", expected));
  }
  return text.as_string();
}

/// Members that change what is meant: a row that has one would be read wrongly without a word.
void refuse(const io::JsonCursor& row, std::string_view name, const char* instead) {
  if (!row.has(name)) return;
  const io::JsonCursor member = row.at(name);
  const bool empty = (member.value().is_array() && member.size() == 0) ||
                     (member.value().is_string() && member.as_string().empty());
  if (!empty) member.fail(core::concat("is not read; ", instead));
}

void refuse_tools(const io::JsonCursor& row) {
  constexpr const char* kInstead = "leave it out, or write it into the system message";
  refuse(row, "tools", kInstead);
  refuse(row, "functions", kInstead);
}

/// Members of a message that would change what it says.
void refuse_in_message(const io::JsonCursor& message) {
  constexpr const char* kCall = "write the call into `content`";
  constexpr const char* kThoughts =
      "write it into `content`, before the answer: <think>...</think>";
  refuse(message, "tool_calls", kCall);
  refuse(message, "function_call", kCall);
  refuse(message, "reasoning_content", kThoughts);
  refuse(message, "thinking", kThoughts);
}

/// An answer that its file wants to be read and not to be learned.
void refuse_unlearned(const io::JsonCursor& message) {
  constexpr const char* kWhy =
      "is not read: every answer is learned; take it out, or leave the row out";
  if (message.has("weight") && message.at("weight").as_double() != 1)
    message.at("weight").fail(kWhy);
  if (message.has("train") && !message.at("train").as_bool()) message.at("train").fail(kWhy);
}

void add_message(const io::JsonCursor& content, const std::string& role, Messages& messages) {
  messages.push_back(
      {role, role == "assistant" ? words(content, "the assistant's words") : content.as_string()});
}

Messages read_messages(const io::JsonCursor& row) {
  const io::JsonCursor list = row.at("messages");
  const std::size_t count = list.as_array().size();
  if (count == 0) list.fail("is empty, expected at least one message");
  refuse_tools(row);
  Messages messages;
  messages.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const io::JsonCursor message = list.at(i);
    const io::JsonCursor role = message.at("role");
    if (role.as_string().empty()) role.fail("is empty, expected system, user or assistant");
    refuse_in_message(message);
    if (role.as_string() == "assistant") refuse_unlearned(message);
    add_message(message.at("content"), role.as_string(), messages);
  }
  return messages;
}

/// What ShareGPT and its heirs call the speakers.
std::string role_of(const io::JsonCursor& from) {
  struct Speaker {
    std::string_view name, role;
  };
  constexpr std::array<Speaker, 7> kSpeakers = {{{"human", "user"},
                                                 {"user", "user"},
                                                 {"gpt", "assistant"},
                                                 {"assistant", "assistant"},
                                                 {"chatgpt", "assistant"},
                                                 {"model", "assistant"},
                                                 {"system", "system"}}};
  for (const Speaker& speaker : kSpeakers) {
    if (speaker.name == from.as_string()) return std::string(speaker.role);
  }
  from.fail(core::concat("is `", core::printable(from.as_string(), 20),
                         "`, expected human, gpt or system"));
}

void add_system(const io::JsonCursor& row, Messages& messages) {
  if (!row.has("system") || row.at("system").as_string().empty()) return;
  messages.push_back({"system", row.at("system").as_string()});
}

Messages read_conversation(const io::JsonCursor& row) {
  const io::JsonCursor list = row.at("conversations");
  const std::size_t count = list.as_array().size();
  if (count == 0) list.fail("is empty, expected at least one message");
  refuse_tools(row);
  Messages messages;
  add_system(row, messages);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string role = role_of(list.at(i).at("from"));
    refuse_in_message(list.at(i));
    if (role == "assistant") refuse_unlearned(list.at(i));
    add_message(list.at(i).at("value"), role, messages);
  }
  return messages;
}

Messages read_instruction(const io::JsonCursor& row) {
  refuse(row, "history", "write the row as `messages`");
  Messages messages;
  add_system(row, messages);
  std::string request = words(row.at("instruction"), "what is to be done");
  if (row.has("input") && !row.at("input").as_string().empty()) {
    request += "\n\n" + row.at("input").as_string();
  }
  messages.push_back({"user", std::move(request)});
  add_message(row.at("output"), "assistant", messages);
  return messages;
}

std::string read_label(const io::JsonCursor& row, const std::string& field) {
  constexpr std::size_t kLongest = 100;
  if (field.empty()) return "";
  if (!row.has(field)) {
    fail<FormatError>(row.source(), ": has no member `", core::printable(field, 40),
                      "`, which `label_field` says holds its label; found ",
                      member_names(row.as_object()));
  }
  const io::JsonCursor member = row.at(field);
  const std::string& label = member.as_string();
  if (label.empty() || label.size() > kLongest || label != core::printable(label, kLongest)) {
    member.fail(core::concat("is `", core::printable(label, 40),
                             "`, expected a label of 1 to 100 printable characters"));
  }
  return label;
}

/// Rows of sets that measure a model hold no text to learn.
const char* hint_of(const io::JsonCursor& row) {
  if (row.has("choices")) return "; a question with choices is for the task `choice` or `bias`";
  if (row.has("stereotype")) return "; a pair of sentences is for the task `bias`";
  return "";
}

RowForm recognise(const io::JsonCursor& row) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < kForms.size(); ++i) {
    if (row.has(kForms[i])) found.push_back(i);
  }
  if (found.empty()) {
    fail<FormatError>(row.source(),
                      ": expected a member `text`, `messages`, `conversations`, `prompt` or "
                      "`instruction`, found ",
                      member_names(row.as_object()), hint_of(row));
  }
  if (found.size() > 1) {
    fail<FormatError>(row.source(), ": holds both `", kForms[found[0]], "` and `", kForms[found[1]],
                      "`, expected one of them");
  }
  return static_cast<RowForm>(found.front());
}

}  // namespace

DocumentRow parse_document_row(const io::JsonlRow& row, const std::string& label_field) {
  const io::JsonCursor cursor(row.value, row.source);
  DocumentRow document{{}, row.source, recognise(cursor), read_label(cursor, label_field)};
  switch (document.form) {
    case RowForm::kText:
      if (cursor.at("text").as_string().empty()) {
        cursor.at("text").fail("is empty, expected at least one character");
      }
      document.content = cursor.at("text").as_string();
      break;
    case RowForm::kMessages:
      document.content = read_messages(cursor);
      break;
    case RowForm::kConversations:
      document.content = read_conversation(cursor);
      break;
    case RowForm::kPrompt:
      document.content = Completion{cursor.at("prompt").as_string(),
                                    words(cursor.at("completion"), "what follows the prompt")};
      break;
    case RowForm::kInstruction:
      document.content = read_instruction(cursor);
      break;
  }
  return document;
}

std::vector<DocumentRow> read_conversations(const std::filesystem::path& path) {
  std::vector<DocumentRow> conversations;
  io::JsonlReader reader(path);
  while (const auto row = reader.next()) {
    conversations.push_back(parse_document_row(*row));
    if (conversations.back().messages() != nullptr) continue;
    fail<FormatError>(row->source, ": holds `",
                      kForms[static_cast<std::size_t>(conversations.back().form)],
                      "`, expected a conversation");
  }
  return conversations;
}

}  // namespace distill::data
