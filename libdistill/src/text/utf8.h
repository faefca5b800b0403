#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace distill::text::detail {

/// U+FFFD, which stands for bytes that are not UTF-8.
inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Utf8State : std::uint8_t {
  kWhole,      ///< a character
  kMalformed,  ///< the longest beginning of a character, and then a byte that cannot follow
  kUnfinished  ///< a beginning of a character that the text ends in
};

struct Utf8Step {
  std::size_t size = 0;  ///< bytes, at least 1
  Utf8State state = Utf8State::kWhole;
};

/// What stands at `at` (less than the size) of any bytes. The parts are the "maximal subparts" of
/// the Unicode standard, section 3.9: each malformed one is replaced by one U+FFFD.
Utf8Step utf8_step(std::string_view bytes, std::size_t at);

/// Every malformed or unfinished part replaced by U+FFFD.
std::string replace_malformed(std::string_view bytes);

/// Where the first byte stands that is not UTF-8; the size when there is none.
std::size_t utf8_prefix(std::string_view bytes);

/// Throws InputError, naming the place, for text that is not UTF-8.
void check_utf8(std::string_view text);

}  // namespace distill::text::detail
