#include "text/bpe_model.h"

#include <span>

#include <gtest/gtest.h>

#include <distill/core/random.h>
#include <distill/core/strings.h>

#include "support/bpe_definition.h"

namespace distill::text::detail {
namespace {

using testing::BpeDefinition;
using Ids = BpeDefinition::Ids;

std::string random_text(core::RandomState& random, std::size_t num_chars) {
  std::string text;
  // Few kinds at a time, so that they repeat.
  const auto first = random.below(std::size(testing::kOverlappingChars));
  const auto kinds = 1 + random.below(5);
  for (std::size_t i = 0; i < num_chars; ++i) {
    const auto kind = (first + random.below(kinds)) % std::size(testing::kOverlappingChars);
    text += testing::kOverlappingChars[kind];
  }
  return text;
}

/// Merges that occur: each joins two neighbours of a text under those before it. Training gives
/// ranks in that order; `shuffle` gives them any.
BpeDefinition random_bpe(core::RandomState& random, bool shuffle, bool omit_a_byte) {
  BpeDefinition bpe;
  if (omit_a_byte) bpe.tokens[random.below(2) == 0 ? 0x9F : 0xB8].clear();
  for (int n = 0; n < 40; ++n) {
    const Ids ids = bpe.encode(random_text(random, 12));
    if (ids.size() < 2) continue;
    const auto at = static_cast<std::size_t>(random.below(ids.size() - 1));
    bpe.add_rule(ids[at], ids[at + 1]);
  }
  for (std::size_t i = bpe.rules.size(); shuffle && i > 1; --i) {
    std::swap(bpe.rules[i - 1].rank, bpe.rules[random.below(i)].rank);
  }
  return bpe;
}

void expect_the_definition(core::RandomState& random, bool shuffle, bool omit_a_byte,
                           bool ignore_merges) {
  const BpeDefinition bpe = random_bpe(random, shuffle, omit_a_byte);
  BpeParts parts = bpe.parts();
  parts.ignore_merges = ignore_merges;
  const BpeModel model(std::move(parts));
  for (int n = 0; n < 60; ++n) {
    const std::string text = random_text(random, 1 + random.below(n < 55 ? 12 : 60));
    Ids wanted = bpe.encode(text);
    for (std::size_t id = 0; ignore_merges && id < bpe.tokens.size(); ++id) {
      if (bpe.tokens[id] == text) wanted = {static_cast<std::int32_t>(id)};
    }
    std::vector<Symbol> symbols = {{7, 0, 0}};  // what was there before stays
    model.encode(text, symbols);
    Ids found;
    std::size_t at = 0;
    for (const Symbol& symbol : std::span(symbols).subspan(1)) {
      found.push_back(symbol.id);
      if (omit_a_byte) continue;
      EXPECT_EQ(symbol.begin, at);
      at = symbol.end;
      EXPECT_EQ(text.substr(symbol.begin, symbol.end - symbol.begin), bpe.token(symbol.id));
    }
    ASSERT_EQ(found, wanted) << core::printable(text) << " shuffled " << shuffle << " omitted "
                             << omit_a_byte << " ignore_merges " << ignore_merges;
  }
}

// Words are cut, begun with whole characters and looked up, none of which may show.
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

// Merges that see more kinds of characters than a table is made for.
TEST(BpeModel, ManyKindsOfBrokenCharacters) {
  BpeDefinition bpe;
  for (int second = 0x80; second < 0xC0; ++second) {
    for (int third = 0x80; third < 0xC0; ++third) {
      const auto id = static_cast<std::int32_t>(bpe.tokens.size());
      bpe.tokens.push_back({static_cast<char>(second), static_cast<char>(third)});
      bpe.tokens.push_back(bpe.tokens.back() + "a");
      const auto rank = static_cast<std::int32_t>(bpe.rules.size());
      bpe.rules.push_back({second, third, rank, id});
      bpe.rules.push_back({id, 'a', rank + 1, id + 1});
    }
  }
  const BpeModel model(bpe.parts());
  for (const std::string text : {"\xE4\xB8\x80"
                                 "a",
                                 "a\xE4\xBD\xA0"
                                 "a\xE4\xBD\xA0\xE4\xBD\xA0"}) {
    std::vector<Symbol> symbols;
    model.encode(text, symbols);
    Ids found;
    for (const Symbol& symbol : symbols) found.push_back(symbol.id);
    EXPECT_EQ(found, bpe.encode(text));
  }
}

}  // namespace
}  // namespace distill::text::detail
