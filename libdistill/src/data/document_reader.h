#pragma once

#include <string>
#include <vector>

#include <distill/data/dataset.h>

#include "data/token_store.h"

namespace distill::data {

/// Appends the documents of one JSONL file to `tokens` and returns where they lie, in file order.
/// Throws FormatError `FILE:LINE: ...` for a bad row, InputError for
/// `messages` without a chat template.
std::vector<Span> read_documents(const std::string& path, const RowReading& reading,
                                 TokenStore& tokens);

}  // namespace distill::data
