#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

/// Character classes as the `tokenizers` package sees them: its regular expressions know
/// Unicode 16, its Digits step Unicode 17.
namespace distill::text::detail {

/// The major class of a code point; white space is taken out of its Unicode category.
enum class CharClass : std::uint8_t {
  kLetter,
  kMark,
  kNumber,
  kPunctuation,
  kSymbol,
  kSpace,
  kOther
};

struct CodePoint {
  char32_t value = 0;
  std::uint32_t size = 0;  ///< bytes
};

/// The code point at `at`. The text must be UTF-8 and `at` the start of a character.
inline CodePoint code_point_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[at + i]));
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {((lead & 0x1F) << 6) | (byte(1) & 0x3F), 2};
  if (lead < 0xF0) {
    return {((lead & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F), 3};
  }
  return {
      ((lead & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) | (byte(3) & 0x3F),
      4};
}

/// The class of any code point.
CharClass char_class(char32_t code_point);

/// Rust's char::is_numeric, which the Digits step uses: the categories Nd, Nl, No of Unicode 17.
bool is_numeric(char32_t code_point);

struct ClassifiedChar {
  CharClass kind = CharClass::kOther;
  std::uint32_t size = 0;
};

/// Class and length of the character at `at`.
inline ClassifiedChar classify(std::string_view text, std::size_t at) {
  const CodePoint point = code_point_at(text, at);
  return {char_class(point.value), point.size};
}

/// Where the white space that begins at `at` ends.
std::size_t white_space_end(std::string_view text, std::size_t at);
/// Where the white space that ends at `end` begins, not before `low`.
std::size_t white_space_begin(std::string_view text, std::size_t low, std::size_t end);

/// A word character of Rust's regular expressions: letters, marks, decimal digits, letter numbers,
/// connecting punctuation, joiners and letters in circles or squares.
bool is_word_char(char32_t code_point);

}  // namespace distill::text::detail
