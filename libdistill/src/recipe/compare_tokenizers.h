#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <distill/text/tokenizer.h>

namespace distill::recipe {

/// How the ids of one tokenizer differ from what a model with another one takes them for.
struct TokenizerDifference {
  std::int64_t ids = 0;               ///< of the first that mean something else in the second
  std::int64_t missing = 0;           ///< of the first that the second does not have
  std::int64_t surplus = 0;           ///< of the second behind those of the first
  std::vector<std::string> examples;  ///< a few of `ids` and `missing`, for people
  std::string other_cut;              ///< a text that becomes other ids; empty: none was found
};

/// Texts that tokenizers cut differently: numbers, blanks, contractions, other scripts, code.
std::span<const char* const> telling_texts();

TokenizerDifference compare(const text::Tokenizer& first, const text::Tokenizer& second);

}  // namespace distill::recipe
