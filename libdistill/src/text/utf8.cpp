#include "text/utf8.h"

#include <distill/core/error.h>

namespace distill::text::detail {
namespace {

/// How many bytes follow a leading byte, and what the first of them may be.
struct LeadByte {
  int following = -1;  ///< -1: no leading byte
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
};

LeadByte lead_byte(unsigned char byte) {
  if (byte < 0x80) return {0};
  if (byte >= 0xC2 && byte <= 0xDF) return {1};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {2};
  if (byte == 0xF0) return {3, 0x90, 0xBF};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  if (byte >= 0xF1 && byte <= 0xF3) return {3};
  return {};
}

}  // namespace

Utf8Step utf8_step(std::string_view bytes, std::size_t at) {
  LeadByte lead = lead_byte(static_cast<unsigned char>(bytes[at]));
  if (lead.following < 0) return {1, Utf8State::kMalformed};
  std::size_t size = 1;
  for (; lead.following > 0; --lead.following, ++size) {
    if (at + size == bytes.size()) return {size, Utf8State::kUnfinished};
    const auto byte = static_cast<unsigned char>(bytes[at + size]);
    if (byte < lead.low || byte > lead.high) return {size, Utf8State::kMalformed};
    lead.low = 0x80;
    lead.high = 0xBF;
  }
  return {size, Utf8State::kWhole};
}

std::string replace_malformed(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const Utf8Step step = utf8_step(bytes, at);
    text += step.state == Utf8State::kWhole ? bytes.substr(at, step.size) : kReplacement;
    at += step.size;
  }
  return text;
}

std::size_t utf8_prefix(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const Utf8Step step = utf8_step(bytes, at);
    if (step.state != Utf8State::kWhole) break;
    at += step.size;
  }
  return at;
}

void check_utf8(std::string_view text) {
  const std::size_t valid = utf8_prefix(text);
  if (valid < text.size()) {
    fail<InputError>("text is not UTF-8 at byte ", valid, "; convert it before it is tokenized");
  }
}

}  // namespace distill::text::detail
