#include "pipeline/html/markup.h"

#include <distill/core/strings.h>

namespace distill::pipeline::html {

namespace {

constexpr std::string_view kUnknown = "\xef\xbf\xbd";  // U+FFFD

/// Bytes of the character that begins `text`; 0 when it is not UTF-8.
std::size_t character_size(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return size <= text.size() && core::is_utf8(text.substr(0, size)) ? size : 0;
}

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '&':
      out += "&amp;";
      break;
    case '"':
      out += "&quot;";
      break;
    case '\'':
      out += "&#39;";
      break;
    default: {
      const auto byte = static_cast<unsigned char>(c);
      const bool control = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
      out += control ? kUnknown : std::string_view(&c, 1);
    }
  }
}

}  // namespace

std::string escaped(std::string_view text, std::size_t most_bytes) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = character_size(text.substr(at));
    if (at + size > most_bytes) return out + "&hellip;";
    if (size == 0) {
      out += kUnknown;
    } else if (size == 1) {
      append_escaped(out, text[at]);
    } else {
      out += text.substr(at, size);
    }
    at += size == 0 ? 1 : size;
  }
  return out;
}

std::string link(std::string_view path) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-._~/";
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

std::string element(std::string_view name, std::string_view attributes, std::string_view inside) {
  return core::concat('<', name, attributes.empty() ? "" : " ", attributes, '>', inside, "</", name,
                      '>');
}

}  // namespace distill::pipeline::html
