#pragma once

#include <string>
#include <vector>

#include <distill/data/document_row.h>
#include <distill/text/chat_template.h>
#include <distill/text/frame.h>
#include <distill/text/tokenizer.h>

#include "data/token_file.h"

namespace distill::data {

struct EncodedDocument {
  std::vector<Word> words;
  std::uint64_t targets = 0;
  std::uint32_t label = 0;  ///< as DocumentEntry has it
};

/// Rows to tokens, by the rules of docs/formats/data.md. Safe to use from several threads.
class DocumentEncoder {
 public:
  /// `chat` may be null; both outlive it.
  DocumentEncoder(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat);

  /// Throws FormatError `FILE:LINE: ...` for a row that cannot be encoded or holds nothing to
  /// learn; InputError for a conversation without a chat template, UnsupportedError for what the
  /// tokenizer or the template does not do: these are no fault of the row.
  EncodedDocument encode(const DocumentRow& row) const;

  /// All that decides which ids rows become, apart from the rows.
  std::string fingerprint() const;

 private:
  EncodedDocument encode_text(const std::string& text, const std::string& source) const;
  EncodedDocument encode_chat(const std::vector<text::ChatMessage>& messages,
                              const std::string& source) const;
  EncodedDocument encode_completion(const Completion& row, const std::string& source) const;
  void end_document(text::TokenIds& ids) const;

  const text::Tokenizer& tokenizer_;
  const text::ChatTemplate* chat_;
  text::TextFrame frame_;
  std::vector<std::string> empty_answers_;  ///< what the template makes of answers without words
};

}  // namespace distill::data
