#pragma once

#include <string>
#include <string_view>

#include <distill/text/tokenizer.h>

namespace distill::commands {

/// Ids separated by blanks. Throws InputError `SOURCE: ...` for anything but decimal numbers.
text::TokenIds parse_ids(std::string_view line, const std::string& source);

}  // namespace distill::commands
