#include "teachers/hidden_key.h"

#include <charconv>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <utility>

namespace distill::teachers::detail {

namespace {

constexpr std::string_view kShown = "[key]";
constexpr std::size_t kTellingLength = 12;

struct Spelt {
  char character = 0;
  std::size_t length = 1;  ///< in the text
};

/// What stands at a place of a text: an escape of JSON for an ASCII character, or one byte.
Spelt spelt_at(std::string_view text, std::size_t at) {
  const Spelt plain{text[at], 1};
  if (text[at] != '\\' || at + 1 == text.size()) return plain;
  const char next = text[at + 1];
  if (next == '\\' || next == '/' || next == '"') return {next, 2};
  constexpr std::size_t kDigits = 4;
  if (next != 'u' || text.size() - at < 2 + kDigits) return plain;
  std::uint32_t code = 0;
  const char* end = text.data() + at + 2 + kDigits;
  const auto [rest, error] = std::from_chars(end - kDigits, end, code, 16);
  if (error != std::errc() || rest != end || code >= 0x80) return plain;
  return {static_cast<char>(code), 2 + kDigits};
}

/// How many bytes of the text spell the key from here on; 0: it is not there.
std::size_t spelling(std::string_view text, std::size_t at, std::string_view key) {
  const std::size_t begin = at;
  for (const char wanted : key) {
    if (at >= text.size()) return 0;
    const Spelt spelt = spelt_at(text, at);
    if (spelt.character != wanted) return 0;
    at += spelt.length;
  }
  return at - begin;
}

struct Found {
  std::size_t at = 0;
  std::size_t length = 0;  ///< 0: not there
};

Found find_plain(std::string_view text, std::size_t from, std::string_view key) {
  const std::size_t at = text.find(key, from);
  return at == std::string_view::npos ? Found{} : Found{at, key.size()};
}

Found find_escaped(std::string_view text, std::size_t from, std::string_view key) {
  for (std::size_t at = from; at < text.size(); ++at) {
    if (const std::size_t length = spelling(text, at, key)) return {at, length};
  }
  return {};
}

template <class Find>
std::string without(std::string text, std::string_view key, const Find& find) {
  std::string out;
  std::size_t copied = 0;
  for (Found found = find(text, 0, key); found.length > 0; found = find(text, copied, key)) {
    out.append(text, copied, found.at - copied).append(kShown);
    copied = found.at + found.length;
  }
  if (copied == 0) return text;
  return out.append(text, copied);
}

}  // namespace

bool HiddenKey::is_telling() const {
  return key_.size() >= kTellingLength;
}

std::string HiddenKey::hide(std::string text) const {
  if (key_.empty()) return text;
  text = without(std::move(text), key_, find_plain);
  if (text.find('\\') == std::string::npos) return text;
  return without(std::move(text), key_, find_escaped);
}

}  // namespace distill::teachers::detail
