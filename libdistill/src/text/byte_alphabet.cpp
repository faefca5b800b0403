#include "text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "text/unicode.h"

namespace distill::text::detail {
namespace {

/// Printable Latin-1 characters stand for themselves, the other 68 bytes are U+0100 and up.
constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<std::uint16_t, 256> kCharOfByte = [] {
  std::array<std::uint16_t, 256> chars{};
  std::uint16_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    chars[byte] = stands_for_itself(byte) ? static_cast<std::uint16_t>(byte) : next++;
  }
  return chars;
}();

constexpr std::size_t kNumChars = 0x100 + 68;

constexpr std::array<std::int16_t, kNumChars> kByteOfChar = [] {
  std::array<std::int16_t, kNumChars> bytes{};
  for (auto& byte : bytes) byte = -1;
  for (unsigned byte = 0; byte < 256; ++byte) {
    bytes[kCharOfByte[byte]] = static_cast<std::int16_t>(byte);
  }
  return bytes;
}();

}  // namespace

std::optional<std::string> bytes_of_byte_level(std::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  for (std::size_t at = 0; at < token.size();) {
    const CodePoint point = code_point_at(token, at);
    if (point.value >= kNumChars || kByteOfChar[point.value] < 0) return std::nullopt;
    bytes += static_cast<char>(kByteOfChar[point.value]);
    at += point.size;
  }
  return bytes;
}

std::string byte_level_char(unsigned char byte) {
  const unsigned point = kCharOfByte[byte];
  if (point < 0x80) return {static_cast<char>(point)};
  return {static_cast<char>(0xC0 | (point >> 6)), static_cast<char>(0x80 | (point & 0x3F))};
}

}  // namespace distill::text::detail
