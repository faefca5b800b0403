#include "text/char_breaks.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "text/unicode.h"
#include "text/utf8.h"

namespace distill::text::detail {
namespace {

constexpr char32_t kEnd = 0x10000;
constexpr std::size_t kMaxClasses = 4096;

bool continues_char(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

/// A character, or the part of one that lies on this side of a merge.
struct Edge {
  std::string_view bytes;
  bool is_whole = false;
};

/// What a token that ends where a character ends has there. Nothing where no UTF-8 has it.
std::optional<Edge> edge_at_end(std::string_view token) {
  std::size_t begin = token.size();
  while (begin > 0 && continues_char(token[begin - 1])) --begin;
  if (begin == 0) {
    if (token.size() > 3) return std::nullopt;
    return Edge{token, false};
  }
  const std::string_view last = token.substr(begin - 1);
  const Utf8Step step = utf8_step(last, 0);
  if (step.state != Utf8State::kWhole || step.size != last.size()) return std::nullopt;
  return Edge{last, true};
}

/// The same for the beginning.
std::optional<Edge> edge_at_begin(std::string_view token) {
  const Utf8Step step = utf8_step(token, 0);
  if (step.state == Utf8State::kMalformed) return std::nullopt;
  return Edge{token.substr(0, step.size), step.state == Utf8State::kWhole};
}

/// Up to four bytes as a number.
std::uint32_t packed(std::string_view bytes) {
  std::uint32_t number = 0;
  for (const char byte : bytes) number = (number << 8) | static_cast<unsigned char>(byte);
  return number;
}

/// The UTF-8 of a code point below U+10000, packed.
std::uint32_t packed_char(char32_t value) {
  const auto tail = [&](int shift) { return 0x80 | ((value >> shift) & 0x3F); };
  if (value < 0x80) return value;
  if (value < 0x800) return ((0xC0 | (value >> 6)) << 8) | tail(0);
  return ((0xE0 | (value >> 12)) << 16) | (tail(6) << 8) | tail(0);
}

/// Sorts characters into classes by which of some edges they have on one side.
class EdgeClasses {
 public:
  /// `at_end`: edges are ends of characters, otherwise beginnings.
  explicit EdgeClasses(bool at_end) : at_end_(at_end) {}

  /// The number of an edge, a new one for a new edge.
  std::uint32_t number(std::uint32_t edge) {
    outer_bytes_[outer_byte(edge)] = true;
    return numbers_.emplace(edge, static_cast<std::uint32_t>(numbers_.size())).first->second;
  }

  /// By code point. Nothing when there are too many classes.
  std::optional<std::vector<std::uint16_t>> classify() {
    std::vector<std::uint16_t> classes(kEnd);
    std::vector<std::uint32_t> seen;
    for (char32_t value = 0; value < kEnd; ++value) {
      const std::uint32_t bytes = packed_char(value);
      if (!outer_bytes_[outer_byte(bytes)]) continue;
      const int size = value < 0x80 ? 1 : value < 0x800 ? 2 : 3;
      seen.clear();
      for (int kept = 1; kept <= size; ++kept) {
        const std::uint32_t edge =
            at_end_ ? bytes & (0xFFFFFFFFU >> (32 - 8 * kept)) : bytes >> (8 * (size - kept));
        const auto found = numbers_.find(edge);
        if (found != numbers_.end()) seen.push_back(found->second);
      }
      if (seen.empty()) continue;
      const auto [known, is_new] =
          classes_.emplace(seen, static_cast<std::uint16_t>(classes_.size() + 1));
      if (classes_.size() >= kMaxClasses) return std::nullopt;
      if (is_new) {
        for (const std::uint32_t edge : seen) classes_of_[edge].push_back(known->second);
      }
      classes[value] = known->second;
    }
    return classes;
  }

  /// That have the edge of this number.
  const std::vector<std::uint16_t>& classes_with(std::uint32_t number) {
    return classes_of_[number];
  }
  /// Class 0 included.
  std::size_t size() const { return classes_.size() + 1; }

 private:
  /// The last byte of an end, the first of a beginning.
  std::size_t outer_byte(std::uint32_t edge) const {
    while (!at_end_ && edge > 0xFF) edge >>= 8;
    return edge & 0xFF;
  }

  bool at_end_;
  std::array<bool, 256> outer_bytes_{};  ///< of all edges
  std::unordered_map<std::uint32_t, std::uint32_t> numbers_;
  std::map<std::vector<std::uint32_t>, std::uint16_t> classes_;
  std::unordered_map<std::uint32_t, std::vector<std::uint16_t>> classes_of_;
};

/// What the rules have at the border of their two tokens.
class RuleBorders {
 public:
  void add(std::string_view left_token, std::string_view right_token) {
    if (left_token.empty() || right_token.empty()) return;
    const auto left = edge_at_end(left_token);
    const auto right = edge_at_begin(right_token);
    if (!left || !right) return;
    if (!left->is_whole || !right->is_whole) {
      broken_.emplace(lefts_.number(packed(left->bytes)), rights_.number(packed(right->bytes)));
      return;
    }
    const char32_t before = code_point_at(left->bytes, 0).value;
    const char32_t after = code_point_at(right->bytes, 0).value;
    if (before < kEnd && after < kEnd && (before | after) >= 0x80) {
      joined_.push_back(static_cast<std::uint32_t>((before << 16) | after));
    }
  }

  std::optional<CharBreaks> take() {
    auto left_class = lefts_.classify();
    auto right_class = rights_.classify();
    if (!left_class || !right_class) return std::nullopt;
    CharBreaks result{
        std::move(joined_), std::move(*left_class), std::move(*right_class), {}, rights_.size()};
    std::ranges::sort(result.joined);
    const auto twice = std::ranges::unique(result.joined);
    result.joined.erase(twice.begin(), twice.end());
    result.breaks.resize(lefts_.size() * rights_.size());
    for (const auto& [left, right] : broken_) {
      for (const std::size_t row : lefts_.classes_with(left)) {
        for (const std::size_t column : rights_.classes_with(right)) {
          result.breaks[row * result.num_right + column] = true;
        }
      }
    }
    return result;
  }

 private:
  EdgeClasses lefts_{true};
  EdgeClasses rights_{false};
  std::set<std::pair<std::uint32_t, std::uint32_t>> broken_;  ///< numbers of edges
  std::vector<std::uint32_t> joined_;
};

}  // namespace

std::optional<CharBreaks> find_char_breaks(const MergeTable& table,
                                           const std::vector<std::string>& bytes) {
  RuleBorders borders;
  for (const MergeRule& rule : table.rules()) {
    const auto left = static_cast<std::size_t>(rule.left);
    const auto right = static_cast<std::size_t>(rule.right);
    if (left < bytes.size() && right < bytes.size()) borders.add(bytes[left], bytes[right]);
  }
  return borders.take();
}

}  // namespace distill::text::detail
