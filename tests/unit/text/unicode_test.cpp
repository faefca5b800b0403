#include "text/unicode.h"

#include <gtest/gtest.h>

namespace distill::text::detail {
namespace {

TEST(Unicode, ClassesOfKnownCharacters) {
  EXPECT_EQ(char_class('a'), CharClass::kLetter);
  EXPECT_EQ(char_class('7'), CharClass::kNumber);
  EXPECT_EQ(char_class('_'), CharClass::kPunctuation);
  EXPECT_EQ(char_class('$'), CharClass::kSymbol);
  EXPECT_EQ(char_class(0x00), CharClass::kOther);
  EXPECT_EQ(char_class(0x00AA), CharClass::kLetter);  // feminine ordinal
  EXPECT_EQ(char_class(0x00BD), CharClass::kNumber);  // one half
  EXPECT_EQ(char_class(0x0301), CharClass::kMark);    // acute
  EXPECT_EQ(char_class(0x200B), CharClass::kOther);   // zero width space is none
  EXPECT_EQ(char_class(0xE000), CharClass::kOther);   // private use
  EXPECT_EQ(char_class(0x4E00), CharClass::kLetter);
  EXPECT_EQ(char_class(0x1F600), CharClass::kSymbol);
  EXPECT_EQ(char_class(0x10FFFF), CharClass::kOther);
}

TEST(Unicode, WhiteSpaceIsTheUnicodeProperty) {
  std::vector<char32_t> spaces;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (char_class(c) == CharClass::kSpace) spaces.push_back(c);
  }
  const std::vector<char32_t> expected = {0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x20,   0x85,
                                          0xA0,   0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004,
                                          0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200A, 0x2028,
                                          0x2029, 0x202F, 0x205F, 0x3000};
  EXPECT_EQ(spaces, expected);
}

// Counted over all code points with tokenizers 0.23.3 (Unicode 16, for numeric 17).
TEST(Unicode, SizesOfTheClassesEqualThePackage) {
  int letters = 0, marks = 0, numbers = 0, punctuation = 0, symbols = 0, numeric = 0;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    const CharClass kind = char_class(c);
    letters += kind == CharClass::kLetter;
    marks += kind == CharClass::kMark;
    numbers += kind == CharClass::kNumber;
    punctuation += kind == CharClass::kPunctuation;
    symbols += kind == CharClass::kSymbol;
    numeric += is_numeric(c);
  }
  EXPECT_EQ(letters, 141028);
  EXPECT_EQ(marks, 2501);
  EXPECT_EQ(numbers, 1911);
  EXPECT_EQ(punctuation, 855);
  EXPECT_EQ(symbols, 8514);
  EXPECT_EQ(numeric, 1924);
}

TEST(Unicode, ReadsCodePointsOfEachLength) {
  const std::string text = "a\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80";
  const char32_t values[] = {'a', 0xE9, 0x4F60, 0x1F600};
  std::size_t at = 0;
  for (std::uint32_t size = 1; size <= 4; ++size) {
    const CodePoint point = code_point_at(text, at);
    EXPECT_EQ(point.value, values[size - 1]);
    EXPECT_EQ(point.size, size);
    at += size;
  }
}

}  // namespace
}  // namespace distill::text::detail
