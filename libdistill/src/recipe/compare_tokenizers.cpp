#include "recipe/compare_tokenizers.h"

#include <algorithm>
#include <array>
#include <optional>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::recipe {

namespace {

constexpr std::size_t kExamples = 3;

constexpr std::array<const char*, 8> kTexts = {
    "The quick brown fox doesn't jump over 12,345 lazy dogs in 2026.",
    "  leading and   inner  blanks\t\ttabs\n\n\nlines \n",
    "I'LL they're WE'VE it's 'quoted' don\xe2\x80\x99t",
    "\xe4\xbb\x8a\xe5\xa4\xa9\xe5\xa4\xa9\xe6\xb0\x94\xe5\xbe\x88\xe5\xa5\xbd\xe3\x80\x82",
    "Stra\xc3\x9f"
    "e, caf\xc3\xa9, na\xc3\xafve, \xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82",
    "for (int i = 0; i < 10; ++i) { x[i] += 3.14e-5; } // done!!!",
    "\xf0\x9f\x98\x80\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd 100% @user #tag https://example.com/?a=b",
    "1 12 123 1234 12345 0.5 -7"};

/// What an id stands for; nothing for a number that is no id.
std::optional<std::string> meaning(const text::Tokenizer& tokenizer, std::int64_t id) {
  if (id >= tokenizer.vocab_size()) return std::nullopt;
  try {
    return (tokenizer.is_special(id) ? "special " : "") + tokenizer.token_bytes(id);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

std::string shown(const std::optional<std::string>& meaning) {
  return meaning ? core::concat("`", core::printable(*meaning, 24), "`") : "nothing";
}

}  // namespace

std::span<const char* const> telling_texts() {
  return kTexts;
}

TokenizerDifference compare(const text::Tokenizer& first, const text::Tokenizer& second) {
  TokenizerDifference difference;
  for (std::int64_t id = 0; id < first.vocab_size(); ++id) {
    const auto own = meaning(first, id);
    const auto other = meaning(second, id);
    if (!own || own == other) continue;
    ++(other ? difference.ids : difference.missing);
    if (difference.examples.size() == kExamples) continue;
    difference.examples.push_back(core::concat(id, " is ", shown(own), " and ", shown(other)));
  }
  difference.surplus = std::max<std::int64_t>(0, second.vocab_size() - first.vocab_size());
  if (difference.ids + difference.missing > 0) return difference;
  for (const char* text : kTexts) {
    if (first.encode(text, true) == second.encode(text, true)) continue;
    difference.other_cut = text;
    break;
  }
  return difference;
}

}  // namespace distill::recipe
