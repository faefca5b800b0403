#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <distill/io/jsonl.h>
#include <distill/text/chat_template.h>

namespace distill::data {

/// How a row is written.
enum class RowForm { kText, kMessages, kConversations, kPrompt, kInstruction };
/// By the member that a row of the form is recognised by.
constexpr std::array<std::string_view, 5> choice_names(RowForm) {
  return {"text", "messages", "conversations", "prompt", "instruction"};
}

/// Plain text of which only the second part is learned.
struct Completion {
  std::string prompt;  ///< may be empty
  std::string completion;
};

/// One row of a data file: a text, a conversation of at least one message, or a prompt and what
/// follows it.
struct DocumentRow {
  std::variant<std::string, std::vector<text::ChatMessage>, Completion> content;
  std::string source;  ///< FILE:LINE
  RowForm form = RowForm::kText;
  std::string label = {};  ///< what kind of data it is; empty: it was not asked for

  const std::string* text() const { return std::get_if<std::string>(&content); }
  const std::vector<text::ChatMessage>* messages() const {
    return std::get_if<std::vector<text::ChatMessage>>(&content);
  }
  const Completion* completion() const { return std::get_if<Completion>(&content); }
};

/// Reads any of the forms of docs/formats/data.md; members that belong to none are ignored.
/// Throws FormatError `FILE:LINE: ...` for a row of no form or of several, or one that is empty
/// where it matters: a text, a list of messages, the words of the assistant. With `label_field` the
/// member of that name must be a text of 1 to 100 printable characters.
DocumentRow parse_document_row(const io::JsonlRow& row, const std::string& label_field = "");

/// All conversations of a file, whichever form they have. Throws as above, and FormatError for a
/// row of text.
std::vector<DocumentRow> read_conversations(const std::filesystem::path& path);

}  // namespace distill::data
