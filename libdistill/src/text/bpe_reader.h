#pragma once

#include <distill/io/json_value.h>

#include "text/bpe_model.h"

namespace distill::text::detail {

/// Reads the member `model` of a tokenizer.json. Throws UnsupportedError for other models and for
/// settings that are not implemented, FormatError for a malformed vocabulary or malformed merges.
BpeParts read_bpe(const io::JsonCursor& model);

}  // namespace distill::text::detail
