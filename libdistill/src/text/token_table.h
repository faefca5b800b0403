#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace distill::text::detail {

/// Finds tokens by their bytes: a hash table that is at most half full and never changes. The
/// tokens stay with their owner.
class TokenTable {
 public:
  TokenTable() = default;
  /// The tokens by id, of which empty ones are none. Of equal ones the first counts.
  explicit TokenTable(const std::vector<std::string>& tokens);

  /// -1 when there is none. `tokens` are those the table was made of.
  std::int32_t find(const std::vector<std::string>& tokens, std::string_view bytes) const {
    if (slots_.empty()) return -1;
    const std::uint64_t hash = hash_of(bytes);
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    for (std::size_t at = static_cast<std::size_t>(hash) & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.id < 0) return -1;
      if (slot.tag == tag && tokens[static_cast<std::size_t>(slot.id)] == bytes) return slot.id;
    }
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;  ///< half of the hash: nearly always decides without a look at the token
    std::int32_t id = -1;
  };

  static std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15U;
    return hash ^ (hash >> 32);
  }
  static std::uint64_t hash_of(std::string_view bytes) {
    std::uint64_t hash = bytes.size();
    std::uint64_t word = 0;
    for (; bytes.size() >= sizeof(word); bytes.remove_prefix(sizeof(word))) {
      std::memcpy(&word, bytes.data(), sizeof(word));
      hash = mix(hash, word);
    }
    word = 0;
    for (const char byte : bytes) word = (word << 8) | static_cast<unsigned char>(byte);
    return mix(mix(hash, word), 0);
  }

  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
};

}  // namespace distill::text::detail
