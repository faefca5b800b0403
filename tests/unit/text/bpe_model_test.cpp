#include "text/bpe_model.h"

#include <algorithm>

#include <gtest/gtest.h>

#include <distill/core/random.h>
#include <distill/core/strings.h>

#include "text/byte_alphabet.h"

namespace distill::text::detail {
namespace {

/// Characters that have bytes in common, of one to four bytes.
const std::string kChars[] = {"a",
                              " ",
                              "\xC3\xA9",
                              "\xC3\xA8",
                              "\xC4\xA9",
                              "\xE4\xB8\x80",
                              "\xE4\xB8\xA9",
                              "\xE4\xBD\xA0",
                              "\xE5\xB8\x80",
                              "\xF0\x9F\x98\x80",
                              "\xF0\x9F\x98\x81"};

std::string random_text(core::RandomState& random, std::size_t num_chars) {
  std::string text;
  // Few kinds at a time, so that they repeat.
  const auto first = random.below(std::size(kChars));
  const auto kinds = 1 + random.below(5);
  for (std::size_t i = 0; i < num_chars; ++i) {
    text += kChars[(first + random.below(kinds)) % std::size(kChars)];
  }
  return text;
}

/// A vocabulary in bytes, and its merges.
struct Bpe {
  std::vector<std::string> tokens;
  std::vector<MergeRule> rules;
};

using Ids = std::vector<std::int32_t>;

/// The definition: the lowest rank anywhere, the leftmost of it, until there is none.
Ids merge_slowly(const Bpe& bpe, Ids ids) {
  while (true) {
    const MergeRule* best = nullptr;
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      for (const MergeRule& rule : bpe.rules) {
        if (rule.left != ids[i] || rule.right != ids[i + 1]) continue;
        if (best && best->rank <= rule.rank) continue;
        best = &rule;
        place = i;
      }
    }
    if (!best) return ids;
    ids[place] = best->result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

/// Bytes without a token are left out.
Ids ids_of_bytes(const Bpe& bpe, const std::string& text) {
  Ids ids;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (!bpe.tokens[byte].empty()) ids.push_back(byte);
  }
  return ids;
}

/// Merges that occur: each joins two neighbours of a text under those before it. `order` of 0
/// keeps the ranks as training gives them; others shuffle them.
Bpe random_bpe(core::RandomState& random, bool shuffle, bool omit_a_byte) {
  Bpe bpe;
  for (int byte = 0; byte < 256; ++byte) bpe.tokens.emplace_back(1, static_cast<char>(byte));
  if (omit_a_byte) bpe.tokens[random.below(2) == 0 ? 0x9F : 0xB8].clear();
  for (int n = 0; n < 40; ++n) {
    const Ids ids = merge_slowly(bpe, ids_of_bytes(bpe, random_text(random, 12)));
    if (ids.size() < 2) continue;
    const auto at = static_cast<std::size_t>(random.below(ids.size() - 1));
    const auto text = [&](std::int32_t id) { return bpe.tokens[static_cast<std::size_t>(id)]; };
    const std::string token = text(ids[at]) + text(ids[at + 1]);
    auto found = std::ranges::find(bpe.tokens, token);
    if (found == bpe.tokens.end()) found = bpe.tokens.insert(found, token);
    bpe.rules.push_back({ids[at], ids[at + 1], static_cast<std::int32_t>(bpe.rules.size()),
                         static_cast<std::int32_t>(found - bpe.tokens.begin())});
  }
  for (std::size_t i = bpe.rules.size(); shuffle && i > 1; --i) {
    std::swap(bpe.rules[i - 1].rank, bpe.rules[random.below(i)].rank);
  }
  return bpe;
}

BpeParts parts_of(const Bpe& bpe) {
  BpeParts parts;
  for (const std::string& token : bpe.tokens) {
    std::string spelled;
    for (const char c : token) spelled += byte_level_char(static_cast<unsigned char>(c));
    parts.tokens.push_back(spelled);
  }
  parts.merges = bpe.rules;
  return parts;
}

void expect_the_definition(core::RandomState& random, bool shuffle, bool omit_a_byte,
                           bool ignore_merges) {
  const Bpe bpe = random_bpe(random, shuffle, omit_a_byte);
  BpeParts parts = parts_of(bpe);
  parts.ignore_merges = ignore_merges;
  const BpeModel model(std::move(parts));
  for (int n = 0; n < 60; ++n) {
    const std::string text = random_text(random, 1 + random.below(n < 55 ? 12 : 60));
    Ids wanted = merge_slowly(bpe, ids_of_bytes(bpe, text));
    if (const std::int32_t id = model.id_of(parts_of({{text}, {}}).tokens[0]);
        ignore_merges && id >= 0) {
      wanted = {id};
    }
    std::vector<Symbol> symbols = {{7, 0, 0}};  // what was there before stays
    model.encode(text, symbols);
    Ids found;
    std::size_t at = 0;
    for (const Symbol& symbol : std::span(symbols).subspan(1)) {
      found.push_back(symbol.id);
      if (!omit_a_byte) {
        EXPECT_EQ(symbol.begin, at);
        at = symbol.end;
        EXPECT_EQ(text.substr(symbol.begin, symbol.end - symbol.begin),
                  bpe.tokens[static_cast<std::size_t>(symbol.id)]);
      }
    }
    ASSERT_EQ(found, wanted) << core::printable(text) << " shuffled " << shuffle << " omitted "
                             << omit_a_byte << " ignore_merges " << ignore_merges;
  }
}

// Words are cut, begun with whole characters and looked up, all of which must not show.
TEST(BpeModel, OverBytesEqualsTheDefinition) {
  core::RandomState random(11);
  for (int trial = 0; trial < 15; ++trial) {
    for (const bool shuffle : {false, true}) {
      expect_the_definition(random, shuffle, false, false);
      expect_the_definition(random, shuffle, true, false);
      expect_the_definition(random, shuffle, false, true);
    }
  }
}

// Merges that see many kinds of characters are as right without cuts.
TEST(BpeModel, ManyKindsOfBrokenCharacters) {
  Bpe bpe;
  for (int byte = 0; byte < 256; ++byte) bpe.tokens.emplace_back(1, static_cast<char>(byte));
  // `a` with the beginning and the end of each of thousands of characters.
  for (int second = 0x80; second < 0xC0; ++second) {
    for (int third = 0x80; third < 0xC0; ++third) {
      const std::string end = {static_cast<char>(second), static_cast<char>(third)};
      const auto id = static_cast<std::int32_t>(bpe.tokens.size());
      bpe.tokens.push_back(end);
      bpe.tokens.push_back(end + "a");
      const auto rank = static_cast<std::int32_t>(bpe.rules.size());
      bpe.rules.push_back({second, third, rank, id});
      bpe.rules.push_back({id, 'a', rank + 1, id + 1});
    }
  }
  const BpeModel model(parts_of(bpe));
  for (const std::string text : {"\xE4\xB8\x80" "a", "a\xE4\xBD\xA0" "a\xE4\xBD\xA0\xE4\xBD\xA0"}) {
    std::vector<Symbol> symbols;
    model.encode(text, symbols);
    Ids found;
    for (const Symbol& symbol : symbols) found.push_back(symbol.id);
    EXPECT_EQ(found, merge_slowly(bpe, ids_of_bytes(bpe, text)));
  }
}

}  // namespace
}  // namespace distill::text::detail
