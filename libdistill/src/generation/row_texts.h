#pragma once

#include <map>
#include <string>
#include <vector>

#include <distill/core/json_writer.h>
#include <distill/io/json_value.h>
#include <distill/io/jsonl.h>

namespace distill::generation {

/// The texts of a row that may be said in other words: `fields`, or by the row's form `text`, what
/// the user says in a conversation, `prompt`, or `instruction` and `input`. Answers are labels and
/// stay. Throws FormatError naming FILE:LINE where there is none, or a field is no text.
std::vector<const io::JsonValue*> find_texts(const io::JsonlRow& row,
                                             const std::vector<std::string>& fields);

/// Texts by where they stand in a row.
using NewTexts = std::map<const io::JsonValue*, std::string>;

/// Writes `value` with some of its texts replaced.
void write_with(core::JsonWriter& json, const io::JsonValue& value, const NewTexts& texts);

}  // namespace distill::generation
