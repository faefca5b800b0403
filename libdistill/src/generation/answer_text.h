#pragma once

#include <string>
#include <vector>

#include <distill/text/chat_template.h>

namespace distill::generation {

inline std::string without_blanks_around(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

/// What a model without a chat template continues. Throws InputError for more than one turn.
const std::string& text_to_continue(const std::vector<text::ChatMessage>& chat);

}  // namespace distill::generation
