#pragma once

#include <string>
#include <vector>

#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

#include "data/token_store.h"

namespace distill::data {

/// Appends the documents of one JSONL file to `tokens` and returns where they lie, in file order.
/// `chat` may be null. Throws FormatError `FILE:LINE: ...` for a bad row, InputError for
/// `messages` without a chat template.
std::vector<Span> read_documents(const std::string& path, const text::Tokenizer& tokenizer,
                                 const text::ChatTemplate* chat, TokenStore& tokens);

}  // namespace distill::data
