#include "data/document_reader.h"

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/data/document_row.h>
#include <distill/io/jsonl.h>

namespace distill::data {

namespace {

/// What the tokenizer or the template has to say, under the row's name.
template <class Action>
auto at_row(const std::string& source, Action&& action) {
  try {
    return action();
  } catch (const InputError& error) {
    fail<FormatError>(source, ": ", error.what());
  }
}

class Reader {
 public:
  Reader(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat, TokenStore& tokens)
      : tokenizer_(tokenizer), chat_(chat), tokens_(tokens) {}

  Span read(const DocumentRow& row) {
    return row.text() != nullptr ? read_text(*row.text(), row.source)
                                 : read_chat(*row.messages(), row.source);
  }

 private:
  Span read_text(const std::string& text, const std::string& source) {
    text::TokenIds ids =
        at_row(source, [&] { return tokenizer_.encode(text, /*add_special=*/true); });
    // The post-processor may have put it there already.
    const std::int64_t eos = tokenizer_.eos_id();
    if (eos >= 0 && (ids.empty() || ids.back() != eos)) ids.push_back(eos);
    if (ids.empty()) fail<FormatError>(source, ": `text` gives no tokens");
    const Span span = append(ids, source);
    tokens_.is_target.resize(tokens_.ids.size(), true);
    return span;
  }

  Span read_chat(const std::vector<text::ChatMessage>& messages, const std::string& source) {
    if (chat_ == nullptr) {
      fail<InputError>(source,
                       ": `messages` need a chat template and there is none; set "
                       "`chat_template: chatml`, or give rows with `text`");
    }
    const text::EncodedChat encoded =
        at_row(source, [&] { return text::encode_chat(*chat_, tokenizer_, messages, false); });
    const Span span = append(encoded.ids, source);
    tokens_.is_target.insert(tokens_.is_target.end(), encoded.is_target.begin(),
                             encoded.is_target.end());
    if (count_targets(tokens_, span) == 0) {
      fail<FormatError>(source,
                        ": `messages` hold nothing to learn, expected a message of the assistant");
    }
    return span;
  }

  Span append(const text::TokenIds& ids, const std::string& source) {
    const Span span{static_cast<std::int64_t>(tokens_.ids.size()),
                    static_cast<std::int64_t>(ids.size())};
    for (const std::int64_t id : ids) {
      const auto narrow = core::checked_cast<std::int32_t>(id);
      if (!narrow || *narrow < 0) fail<InputError>(source, ": the tokenizer gave the id ", id);
      tokens_.ids.push_back(*narrow);
    }
    return span;
  }

  const text::Tokenizer& tokenizer_;
  const text::ChatTemplate* chat_;
  TokenStore& tokens_;
};

}  // namespace

std::vector<Span> read_documents(const std::string& path, const RowReading& reading,
                                 TokenStore& tokens) {
  std::vector<Span> documents;
  io::JsonlReader lines(path);
  Reader reader(reading.tokenizer, reading.chat, tokens);
  while (const auto row = lines.next()) {
    if (reading.between_rows) reading.between_rows();
    documents.push_back(reader.read(parse_document_row(*row)));
  }
  return documents;
}

}  // namespace distill::data
