#include "text/char_merges.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "text/unicode.h"
#include "text/utf8.h"

namespace distill::text::detail {
namespace {

constexpr std::int32_t kNoRank = std::numeric_limits<std::int32_t>::max();

bool continues_char(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

/// By id, the lowest rank of any merge of the token...
struct LowestRanks {
  std::vector<std::int32_t> at_all;
  std::vector<std::int32_t> with_left;   ///< with what stands before it
  std::vector<std::int32_t> with_right;  ///< with the beginning of a character after it

  LowestRanks(const MergeTable& table, const std::vector<std::string>& bytes)
      : at_all(bytes.size(), kNoRank),
        with_left(bytes.size(), kNoRank),
        with_right(bytes.size(), kNoRank) {
    const auto lower = [](std::int32_t& lowest, const MergeRule& rule) {
      lowest = std::min(lowest, rule.rank);
    };
    for (const MergeRule& rule : table.rules()) {
      const auto left = static_cast<std::size_t>(rule.left);
      const auto right = static_cast<std::size_t>(rule.right);
      if (left >= bytes.size() || right >= bytes.size()) continue;
      lower(at_all[left], rule);
      lower(at_all[right], rule);
      lower(with_left[right], rule);
      if (bytes[right].empty() || !continues_char(bytes[right][0])) lower(with_right[left], rule);
    }
  }
};

bool is_one_long_char(std::string_view bytes) {
  if (bytes.size() < 2 || bytes.size() > 4) return false;
  const Utf8Step step = utf8_step(bytes, 0);
  return step.state == Utf8State::kWhole && step.size == bytes.size();
}

enum class Begins : std::uint8_t { kNever, kBetween, kAlways };  ///< see WholeChars

/// Merges the bytes of one character as if it stood alone and looks at each state on the way.
Begins begins_whole(const MergeTable& table, const LowestRanks& lowest,
                    const std::array<std::int32_t, 256>& byte_ids, std::string_view bytes,
                    std::int32_t token) {
  Begins begins = Begins::kAlways;
  std::vector<std::int32_t> ids;
  for (const char byte : bytes) ids.push_back(byte_ids[static_cast<unsigned char>(byte)]);
  if (std::ranges::find(ids, -1) != ids.end()) return Begins::kNever;
  std::int32_t latest = 0;  // the highest rank so far: until then a state may last
  while (ids.size() > 1) {
    const MergeRule* best = nullptr;
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const MergeRule* rule = table.find(ids[i], ids[i + 1]);
      if (!rule || (best && best->rank <= rule->rank)) continue;
      best = rule;
      place = i;
    }
    if (!best) return Begins::kNever;
    latest = std::max(latest, best->rank);
    if (lowest.with_left[static_cast<std::size_t>(ids.front())] <= latest ||
        lowest.with_right[static_cast<std::size_t>(ids.back())] <= latest) {
      begins = Begins::kBetween;
    }
    ids[place] = best->result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
  const bool in_order = lowest.at_all[static_cast<std::size_t>(token)] > latest;
  return ids[0] == token && in_order ? begins : Begins::kNever;
}

}  // namespace

WholeChars chars_to_begin_with(const MergeTable& table, const std::vector<std::string>& bytes,
                               const std::array<std::int32_t, 256>& byte_ids) {
  WholeChars chars;
  const LowestRanks lowest(table, bytes);
  for (std::size_t id = 0; id < bytes.size(); ++id) {
    if (!is_one_long_char(bytes[id])) continue;
    const auto token = static_cast<std::int32_t>(id);
    const Begins begins = begins_whole(table, lowest, byte_ids, bytes[id], token);
    const char32_t value = code_point_at(bytes[id], 0).value;
    if (begins == Begins::kAlways) chars.always.set(value, token);
    if (begins != Begins::kNever) chars.between.set(value, token);
  }
  return chars;
}

}  // namespace distill::text::detail
