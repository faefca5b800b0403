#pragma once

#include <string>
#include <variant>
#include <vector>

#include <distill/io/jsonl.h>
#include <distill/text/chat_template.h>

namespace distill::data {

/// One row of a data file: a text, or a conversation of at least one message.
struct DocumentRow {
  std::variant<std::string, std::vector<text::ChatMessage>> content;
  std::string source;  ///< FILE:LINE

  const std::string* text() const { return std::get_if<std::string>(&content); }
  const std::vector<text::ChatMessage>* messages() const {
    return std::get_if<std::vector<text::ChatMessage>>(&content);
  }
};

/// `{"text": ...}` or `{"messages": [{"role", "content"}, ...]}`; other members are ignored.
/// Throws FormatError `FILE:LINE: ...` for a row that has neither or both, or an empty one.
DocumentRow parse_document_row(const io::JsonlReader::Row& row);

}  // namespace distill::data
