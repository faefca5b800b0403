#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// Hand-written matchers for the splitting patterns of known tokenizers. A regular expression in a
/// tokenizer.json is recognised by its exact text and never compiled: the time is linear for any
/// input.
namespace distill::text::detail {

/// Where the match that begins at `at` ends, or `at` when there is none. The text is UTF-8, `at` is
/// the start of a character and less than the text's size.
using MatchEnd = std::size_t (*)(std::string_view text, std::size_t at);

/// The GPT-2 pattern, also what ByteLevel uses: it covers every text without gaps.
std::size_t match_gpt2(std::string_view text, std::size_t at);
/// One numeric character.
std::size_t match_digit(std::string_view text, std::size_t at);
/// As many numeric characters as there are.
std::size_t match_digits(std::string_view text, std::size_t at);

struct KnownPattern {
  std::string name;   ///< for messages
  std::string regex;  ///< as it stands in tokenizer.json
  MatchEnd match;
};

/// All patterns that a Split step may have.
std::vector<KnownPattern> known_split_patterns();

}  // namespace distill::text::detail
