#include "text/char_map.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::text::detail {
namespace {

constexpr std::size_t kUnit = 4;

/// The units of the trie: 32-bit words.
class Trie {
 public:
  Trie(std::string_view units, std::size_t num_values) : units_(units), num_values_(num_values) {}

  /// From every state that can be reached each step stays inside, and each value is one.
  bool is_sound() const {
    if (size() == 0) return false;
    std::vector<bool> seen(size());
    std::vector<std::size_t> open = {0};
    seen[0] = true;
    while (!open.empty()) {
      const std::size_t at = open.back();
      open.pop_back();
      const std::uint32_t unit = unit_at(at);
      const std::size_t base = at ^ offset(unit);
      // The library looks at base ^ byte for any byte.
      if ((base | 0xFF) >= size()) return false;
      if (has_leaf(unit) && (unit_at(base) & 0x7FFFFFFF) >= num_values_) return false;
      for (std::size_t byte = 1; byte < 256; ++byte) {
        const std::size_t next = base ^ byte;
        if ((unit_at(next) & 0x800000FF) != byte || seen[next]) continue;
        seen[next] = true;
        open.push_back(next);
      }
    }
    return true;
  }

 private:
  std::size_t size() const { return units_.size() / kUnit; }
  std::uint32_t unit_at(std::size_t at) const {
    std::uint32_t unit = 0;
    std::memcpy(&unit, units_.data() + at * kUnit, kUnit);
    return unit;
  }
  static std::size_t offset(std::uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }
  static bool has_leaf(std::uint32_t unit) { return ((unit >> 8) & 1) == 1; }

  std::string_view units_;
  std::size_t num_values_;
};

}  // namespace

void check_char_map(std::string_view char_map, const std::string& source) {
  if (char_map.empty()) return;
  const auto bad = [&](const char* what) {
    fail<FormatError>(source, ": the normalizer's table ", what, "; copy the file again");
  };
  std::uint32_t trie_bytes = 0;
  if (char_map.size() < kUnit) bad("is cut short");
  std::memcpy(&trie_bytes, char_map.data(), kUnit);
  if (trie_bytes % kUnit != 0 || trie_bytes > char_map.size() - kUnit) bad("has a wrong size");
  const std::string_view texts = char_map.substr(kUnit + trie_bytes);
  if (texts.empty() || texts.back() != '\0') bad("does not end in a NUL");
  if (!core::is_utf8(texts)) bad("holds text that is not UTF-8");
  if (!Trie(char_map.substr(kUnit, trie_bytes), texts.size()).is_sound())
    bad("points outside itself");
}

}  // namespace distill::text::detail
