#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace distill::text::detail {

/// One merge of a BPE model: tokens `left` and `right` become `result`.
struct MergeRule {
  std::int32_t left = 0;
  std::int32_t right = 0;
  std::int32_t rank = 0;  ///< lower ranks merge first
  std::int32_t result = 0;
};

/// Finds merges by their pair: a hash table that is at most half full and never changes, so the
/// longest search is known when it is built.
class MergeTable {
 public:
  MergeTable() = default;
  /// Of several rules for one pair the last counts. Ids are in [0, num_ids).
  MergeTable(std::vector<MergeRule> rules, std::size_t num_ids);

  /// The rule for a pair, or null. Ids may be any.
  const MergeRule* find(std::int32_t left, std::int32_t right) const {
    if (slots_.empty()) return nullptr;
    const std::uint64_t hash = hash_of(left, right);
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    for (std::size_t at = static_cast<std::size_t>(hash) & mask_;; at = (at + 1) & mask_) {
      const Slot slot = slots_[at];
      if (slot.index == 0) return nullptr;
      if (slot.tag != tag) continue;
      const MergeRule& rule = rules_[slot.index - 1];
      if (rule.left == left && rule.right == right) return &rule;
    }
  }
  /// Sorted by pair.
  const std::vector<MergeRule>& rules() const { return rules_; }
  /// The most slots that a search looks at.
  std::size_t longest_search() const;

 private:
  struct Slot {
    std::uint32_t tag = 0;  ///< half of the hash: nearly always decides without a look at the rule
    std::uint32_t index = 0;  ///< of a rule and 1; 0: empty
  };

  static std::uint64_t hash_of(std::int32_t left, std::int32_t right) {
    const std::uint64_t pair =
        (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) | static_cast<std::uint32_t>(right);
    // The finalizer of SplitMix64 (see core/random.h).
    std::uint64_t mixed = (pair ^ (pair >> 30)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31);
  }

  std::vector<MergeRule> rules_;
  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
};

/// A token and the bytes of the piece it stands for.
struct Symbol {
  std::int32_t id = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Applies merges to symbols[from...] until none is left: always the lowest rank, and of equal
/// ranks the leftmost (Sennrich, Haddow, Birch, "Neural machine translation of rare words with
/// subword units", 2016). O(n log n). Throws InputError beyond 2^31 symbols.
void apply_merges(const MergeTable& table, std::vector<Symbol>& symbols, std::size_t from);

}  // namespace distill::text::detail
