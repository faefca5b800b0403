#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/bpe_model.h"
#include "text/byte_alphabet.h"

namespace distill::testing {

/// A byte-level BPE by its definition: slow, and plainly right.
struct BpeDefinition {
  std::vector<std::string> tokens;  ///< bytes by id; the first 256 are the bytes, empty: no token
  std::vector<text::detail::MergeRule> rules;

  using Ids = std::vector<std::int32_t>;

  BpeDefinition() {
    for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  }

  const std::string& token(std::int32_t id) const { return tokens[static_cast<std::size_t>(id)]; }

  /// Joins two tokens, with the highest rank so far.
  void add_rule(std::int32_t left, std::int32_t right) {
    const std::string joined = token(left) + token(right);
    std::size_t id = 0;
    while (id < tokens.size() && tokens[id] != joined) ++id;
    if (id == tokens.size()) tokens.push_back(joined);
    rules.push_back(
        {left, right, static_cast<std::int32_t>(rules.size()), static_cast<std::int32_t>(id)});
  }

  /// The lowest rank anywhere, the leftmost of it, until there is none. Of several rules for one
  /// pair the last counts.
  Ids merge(Ids ids) const {
    while (true) {
      const text::detail::MergeRule* best = nullptr;
      std::size_t place = 0;
      for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
        const text::detail::MergeRule* found = nullptr;
        for (const auto& rule : rules) {
          if (rule.left == ids[i] && rule.right == ids[i + 1]) found = &rule;
        }
        if (!found || (best && best->rank <= found->rank)) continue;
        best = found;
        place = i;
      }
      if (!best) return ids;
      ids[place] = best->result;
      ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    }
  }

  /// Bytes without a token are left out.
  Ids encode(std::string_view text) const {
    Ids ids;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (!tokens[byte].empty()) ids.push_back(byte);
    }
    return merge(std::move(ids));
  }

  /// What the library makes of it.
  text::detail::BpeParts parts() const {
    text::detail::BpeParts parts;
    for (const std::string& bytes : tokens) {
      std::string spelled;
      for (const char c : bytes) {
        spelled += text::detail::byte_level_char(static_cast<unsigned char>(c));
      }
      parts.tokens.push_back(spelled);
    }
    parts.merges = rules;
    return parts;
  }
};

/// Characters of one to four bytes that have bytes in common.
inline const std::string kOverlappingChars[] = {"a",
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

}  // namespace distill::testing
