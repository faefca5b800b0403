#include "text/split_patterns.h"

#include <gtest/gtest.h>

namespace distill::text::detail {
namespace {

using Pieces = std::vector<std::string>;

Pieces pieces_of(MatchEnd match, std::string_view text) {
  Pieces pieces;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = match(text, at);
    if (end == at) throw std::runtime_error("a gap");
    pieces.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return pieces;
}

MatchEnd known(const std::string& name) {
  for (const KnownPattern& pattern : known_split_patterns()) {
    if (pattern.name == name) return pattern.match;
  }
  throw std::runtime_error("no pattern " + name);
}

// Read off the regular expressions by hand.
TEST(SplitPatterns, Gpt2) {
  EXPECT_EQ(pieces_of(match_gpt2, "it's  12ab, ok!\n\n x"),
            (Pieces{"it", "'s", " ", " 12", "ab", ",", " ok", "!", "\n\n", " x"}));
  EXPECT_EQ(pieces_of(match_gpt2, "IT'S  "), (Pieces{"IT", "'", "S", "  "}));
  EXPECT_EQ(pieces_of(match_gpt2, "\t\tx"), (Pieces{"\t", "\t", "x"}));
}

TEST(SplitPatterns, Qwen2TakesOneDigitAndLlama3Three) {
  EXPECT_EQ(pieces_of(known("Qwen 2"), "a1234"), (Pieces{"a", "1", "2", "3", "4"}));
  EXPECT_EQ(pieces_of(known("Llama 3"), "a1234"), (Pieces{"a", "123", "4"}));
}

TEST(SplitPatterns, WordsTakeOneCharacterBeforeThem) {
  const MatchEnd match = known("Llama 3");
  EXPECT_EQ(pieces_of(match, "\tint (x_y)"), (Pieces{"\tint", " (", "x", "_y", ")"}));
  EXPECT_EQ(pieces_of(match, "WE'LL"), (Pieces{"WE", "'LL"}));
  EXPECT_EQ(pieces_of(match, "'sx 'x"), (Pieces{"'s", "x", " '", "x"}));
  EXPECT_EQ(pieces_of(match, "a \n \n  b"), (Pieces{"a", " \n \n", " ", " b"}));
  EXPECT_EQ(pieces_of(match, "!\r\n\nx"), (Pieces{"!\r\n\n", "x"}));
  EXPECT_EQ(pieces_of(match, "  1"), (Pieces{" ", " ", "1"}));
}

TEST(SplitPatterns, DigitsMatchNumericCharactersOnly) {
  EXPECT_EQ(match_digit("12", 0), 1u);
  EXPECT_EQ(match_digits("12a", 0), 2u);
  EXPECT_EQ(match_digit("a1", 0), 0u);
  EXPECT_EQ(match_digit("\xC2\xBD", 0), 2u);  // one half
}

}  // namespace
}  // namespace distill::text::detail
