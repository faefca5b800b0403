#include "text/char_cuts.h"

#include <bit>
#include <unordered_map>
#include <utility>

#include "text/char_breaks.h"

namespace distill::text::detail {
namespace {

/// Of a code point below U+10000.
void append_utf8(char32_t value, std::string& text) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((value >> shift) & 0x3F)); };
  if (value < 0x80) {
    text += static_cast<char>(value);
  } else if (value < 0x800) {
    text += {static_cast<char>(0xC0 | (value >> 6)), tail(0)};
  } else {
    text += {static_cast<char>(0xE0 | (value >> 12)), tail(6), tail(0)};
  }
}

bool is_surrogate(char32_t value) {
  return value >= 0xD800 && value <= 0xDFFF;
}

/// Which pairs of bytes merge.
class PairsOfBytes {
 public:
  PairsOfBytes(const MergeTable& table, const std::array<std::int32_t, 256>& byte_ids)
      : merges_(std::size_t{1} << 16) {
    std::unordered_map<std::int32_t, std::size_t> bytes;
    for (std::size_t byte = 0; byte < byte_ids.size(); ++byte) bytes[byte_ids[byte]] = byte;
    for (const MergeRule& rule : table.rules()) {
      const auto left = bytes.find(rule.left);
      const auto right = bytes.find(rule.right);
      if (left == bytes.end() || right == bytes.end()) continue;
      merges_[(left->second << 8) | right->second] = true;
    }
  }

  bool any_merges(std::string_view text) const {
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
      const auto byte = [&](std::size_t at) {
        return static_cast<std::size_t>(static_cast<unsigned char>(text[at]));
      };
      if (merges_[(byte(i) << 8) | byte(i + 1)]) return true;
    }
    return false;
  }

 private:
  std::vector<bool> merges_;
};

}  // namespace

CharCuts::CharCuts(const MergeTable& table, const std::vector<std::string>& bytes,
                   const std::array<std::int32_t, 256>& byte_ids, const Encode& encode)
    : byte_ids_(byte_ids) {
  auto breaks = find_char_breaks(table, bytes);
  if (!breaks) return;
  chars_.resize(kEnd);
  for (std::size_t value = 0; value < kEnd; ++value) {
    chars_[value].as_left = breaks->left_class[value];
    chars_[value].as_right = breaks->right_class[value];
  }
  breaks_ = std::move(breaks->breaks);
  num_columns_ = breaks->num_right;
  add_chars(table, encode);
  add_pairs(std::move(breaks->joined), encode);
}

void CharCuts::add_chars(const MergeTable& table, const Encode& encode) {
  const PairsOfBytes pairs(table, byte_ids_);
  std::vector<Symbol> symbols;
  std::string text;
  for (char32_t value = 0; value < kEnd; ++value) {
    if (is_surrogate(value)) continue;
    text.clear();
    symbols.clear();
    append_utf8(value, text);
    if (text.size() > 1 && !pairs.any_merges(text)) continue;
    encode(text, symbols);
    Char& known = chars_[value];
    known.num_tokens = static_cast<std::uint8_t>(symbols.size());
    if (symbols.size() == 1) {
      known.token = symbols[0].id;
    } else {
      known.token = static_cast<std::int32_t>(parts_.size());
      parts_.insert(parts_.end(), symbols.begin(), symbols.end());
    }
  }
}

void CharCuts::add_pairs(std::vector<std::uint32_t> pairs, const Encode& encode) {
  pairs_.resize(std::bit_ceil(2 * pairs.size() + 1));
  mask_ = pairs_.size() - 1;
  std::vector<Symbol> symbols;
  std::string text;
  for (const std::uint32_t chars : pairs) {
    text.clear();
    symbols.clear();
    append_utf8(chars >> 16, text);
    append_utf8(chars & 0xFFFF, text);
    encode(text, symbols);
    std::size_t at = slot_of(chars);
    while (pairs_[at].chars != 0) at = (at + 1) & mask_;
    pairs_[at].chars = chars;
    if (symbols.empty() || symbols.size() > 2) continue;
    pairs_[at].first = symbols[0].id;
    pairs_[at].first_size = static_cast<std::uint32_t>(symbols[0].end);
    if (symbols.size() == 2) pairs_[at].second = symbols[1].id;
  }
}

}  // namespace distill::text::detail
