#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.h"

namespace distill::text::detail {

/// A token that is found in the text before it is split.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool special = false;
  bool normalized = false;   ///< looked for after normalisation
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< and after it
  bool single_word = false;  ///< only where no word character touches it
};

/// Strings by their bytes, for the longest one that begins at a place.
class TokenTrie {
 public:
  TokenTrie();
  void add(std::string_view token, std::size_t value);

  struct Match {
    std::size_t end = 0;
    std::size_t value = 0;
  };
  std::optional<Match> longest(std::string_view text, std::size_t at) const;
  bool empty() const { return nodes_.size() == 1; }

 private:
  struct Node {
    std::vector<std::pair<unsigned char, std::size_t>> next;  ///< sorted
    std::optional<std::size_t> value;
  };
  std::optional<std::size_t> child(std::size_t node, unsigned char byte) const;

  std::array<bool, 256> starts_{};
  std::vector<Node> nodes_;
};

/// A part of a text: an added token, or what lies between.
struct Segment {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::int32_t id = -1;  ///< -1: plain text
};

/// Cuts added tokens out of a text: from the left, the longest first.
class AddedTokens {
 public:
  /// The tokens marked as normalized are looked for as `normalizer` spells them.
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer);

  enum class Pass { kRaw, kNormalized };
  /// `parse_special` false leaves special tokens in the text. Segments come in order.
  std::vector<Segment> split(std::string_view text, Pass pass, bool parse_special) const;

  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  std::vector<AddedToken> tokens_;
  TokenTrie raw_;
  TokenTrie normalized_;
};

}  // namespace distill::text::detail
