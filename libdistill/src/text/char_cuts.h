#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/merge_table.h"

namespace distill::text::detail {

/// Where a byte-level BPE may cut words between characters, with the same outcome in every text:
/// where no merge has the end of the one on its left and the beginning of the other on its right,
/// nothing ever crosses the border, and what stands on either side is a word of its own. It also
/// knows what a character alone, and two that some merge joins, come to: most parts of Chinese and
/// Japanese words are no longer.
///
/// It knows characters up to U+FFFF; a border of others is never a cut. Every byte of the text must
/// be a token: one that is left out lets its neighbours meet.
class CharCuts {
 public:
  /// Two characters that merges may join.
  struct Pair {
    std::uint32_t chars = 0;  ///< two code points; 0: an empty slot
    std::int32_t first = -1;  ///< what they alone come to; -1: more than two tokens
    std::int32_t second = -1;
    std::uint32_t first_size = 0;  ///< bytes of `first`
  };
  struct Border {
    bool is_cut = false;
    bool breaks = false;  ///< a merge may join a part of a character with what is across
    const Pair* pair = nullptr;
  };
  /// Appends what a text alone comes to.
  using Encode = std::function<void(std::string_view text, std::vector<Symbol>& out)>;

  /// Knows nothing.
  CharCuts() = default;
  /// `bytes` are the tokens by id, `byte_ids` those of single bytes.
  CharCuts(const MergeTable& table, const std::vector<std::string>& bytes,
           const std::array<std::int32_t, 256>& byte_ids, const Encode& encode);

  /// Nothing can be cut.
  bool empty() const { return chars_.empty(); }

  Border border(char32_t left, char32_t right) const {
    if (left >= kEnd || right >= kEnd) return {false, true, nullptr};
    if ((left | right) < 0x80) return {};
    const std::size_t row = chars_[left].as_left;
    const std::size_t column = chars_[right].as_right;
    if (row != 0 && column != 0 && breaks_[row * num_columns_ + column]) {
      return {false, true, nullptr};
    }
    const Pair* pair = find(left, right);
    return {pair == nullptr, false, pair};
  }

  /// Appends what the character at the bytes [begin, end) of a word alone comes to. False: it is
  /// not known.
  bool add_alone(std::string_view word, char32_t value, std::size_t begin, std::size_t end,
                 std::vector<Symbol>& out) const {
    if (value >= kEnd) return false;
    const Char& known = chars_[value];
    if (known.num_tokens == 1) {
      out.push_back({known.token, begin, end});
    } else if (known.num_tokens == 0) {
      for (std::size_t at = begin; at < end; ++at) {
        out.push_back({byte_ids_[static_cast<unsigned char>(word[at])], at, at + 1});
      }
    } else {
      const Symbol* part = parts_.data() + known.token;
      for (std::uint8_t i = 0; i < known.num_tokens; ++i) {
        out.push_back({part[i].id, begin + part[i].begin, begin + part[i].end});
      }
    }
    return true;
  }

 private:
  static constexpr char32_t kEnd = 0x10000;
  struct Char {
    std::int32_t token = 0;       ///< the only one, or where in parts_ they begin
    std::uint8_t num_tokens = 0;  ///< 0: those of its bytes
    std::uint16_t as_left = 0;    ///< row of breaks_; 0: no merge breaks it up
    std::uint16_t as_right = 0;   ///< column of breaks_
  };

  static std::uint32_t key(char32_t left, char32_t right) {
    return (static_cast<std::uint32_t>(left) << 16) | static_cast<std::uint32_t>(right);
  }
  std::size_t slot_of(std::uint32_t chars) const {
    std::uint64_t mixed = chars * 0x9E3779B97F4A7C15U;
    mixed = (mixed ^ (mixed >> 32)) * 0xBF58476D1CE4E5B9U;
    return static_cast<std::size_t>(mixed >> 32) & mask_;
  }
  const Pair* find(char32_t left, char32_t right) const {
    const std::uint32_t chars = key(left, right);
    for (std::size_t at = slot_of(chars);; at = (at + 1) & mask_) {
      if (pairs_[at].chars == chars) return &pairs_[at];
      if (pairs_[at].chars == 0) return nullptr;
    }
  }
  void add_pairs(std::vector<std::uint32_t> pairs, const Encode& encode);
  void add_chars(const MergeTable& table, const Encode& encode);

  std::array<std::int32_t, 256> byte_ids_{};
  std::vector<Char> chars_;    ///< by code point
  std::vector<Symbol> parts_;  ///< of characters of several tokens
  std::vector<Pair> pairs_;    ///< a hash table
  std::size_t mask_ = 0;
  std::vector<bool> breaks_;
  std::size_t num_columns_ = 0;
};

}  // namespace distill::text::detail
