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

/// Finds merges by their pair. Sorted arrays, not a hash table: no input makes it slow.
class MergeTable {
 public:
  MergeTable() = default;
  /// Of several rules for one pair the last counts. Ids are in [0, num_ids).
  MergeTable(std::vector<MergeRule> rules, std::size_t num_ids);

  /// The rule for a pair, or null.
  const MergeRule* find(std::int32_t left, std::int32_t right) const;
  /// Sorted by pair.
  const std::vector<MergeRule>& rules() const { return rules_; }

 private:
  std::vector<MergeRule> rules_;
  std::vector<std::uint32_t> first_;  ///< of each left id, and one more
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
