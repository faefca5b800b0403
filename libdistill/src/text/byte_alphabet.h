#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace distill::text::detail {

/// The bytes that a token stands for when it is written in the byte-level alphabet: each byte is
/// one printable character there (a space is U+0120). Nothing when a character is not of it.
std::optional<std::string> bytes_of_byte_level(std::string_view token);

/// The character that stands for a byte, as UTF-8.
std::string byte_level_char(unsigned char byte);

}  // namespace distill::text::detail
