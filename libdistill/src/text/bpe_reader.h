#pragma once

#include <distill/io/json_value.h>

#include "text/bpe_model.h"

namespace distill::text::detail {

/// Reads the member `model` of a tokenizer.json. Throws UnsupportedError for other models and for
/// settings that are not implemented, FormatError for a malformed vocabulary or malformed merges.
/// `byte_level`: the pre-tokenizer writes bytes in the byte-level alphabet.
BpeParts read_bpe(const io::JsonCursor& model, bool byte_level);

}  // namespace distill::text::detail
