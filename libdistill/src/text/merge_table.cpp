#include "text/merge_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <limits>
#include <span>
#include <tuple>
#include <utility>

#include <distill/core/error.h>

namespace distill::text::detail {

MergeTable::MergeTable(std::vector<MergeRule> rules, std::size_t num_ids) {
  const auto pair_of = [](const MergeRule& rule) { return std::tuple(rule.left, rule.right); };
  std::ranges::stable_sort(rules, {}, pair_of);
  for (const MergeRule& rule : rules) {
    if (std::cmp_greater_equal(rule.left, num_ids) || std::cmp_greater_equal(rule.right, num_ids)) {
      fail<InputError>("a merge of the ids ", rule.left, " and ", rule.right, " of ", num_ids);
    }
    if (!rules_.empty() && pair_of(rules_.back()) == pair_of(rule)) {
      rules_.back() = rule;
    } else {
      rules_.push_back(rule);
    }
  }
  rules_.shrink_to_fit();
  if (rules_.empty()) return;
  slots_.resize(std::bit_ceil(2 * rules_.size()));
  mask_ = slots_.size() - 1;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const std::uint64_t hash = hash_of(rules_[i].left, rules_[i].right);
    std::size_t at = static_cast<std::size_t>(hash) & mask_;
    while (slots_[at].index != 0) at = (at + 1) & mask_;
    slots_[at] = {static_cast<std::uint32_t>(hash >> 32), static_cast<std::uint32_t>(i + 1)};
  }
}

std::size_t MergeTable::longest_search() const {
  std::size_t longest = 0;
  std::size_t run = 0;
  for (std::size_t i = 0; i < 2 * slots_.size(); ++i) {  // twice: a run may go around the end
    run = slots_[i & mask_].index == 0 ? 0 : run + 1;
    longest = std::max(longest, run);
    if (longest > slots_.size()) break;
  }
  return longest + 1;
}

namespace {

/// Words up to this length search all pairs at every step: quicker than a heap.
constexpr std::size_t kShortWord = 64;

/// Places in a word are 32-bit numbers.
constexpr std::size_t kLongestWord = std::size_t{1} << 31;

void merge_short(const MergeTable& table, std::vector<Symbol>& symbols, std::size_t from) {
  constexpr std::int32_t kNoRule = std::numeric_limits<std::int32_t>::max();
  std::array<std::int32_t, kShortWord> ranks;    // of the pair that begins at each symbol
  std::array<std::int32_t, kShortWord> results;  // of its rule
  Symbol* const word = symbols.data() + from;
  std::size_t size = symbols.size() - from;
  const auto look_up = [&](std::size_t i) {
    const MergeRule* rule = i + 1 < size ? table.find(word[i].id, word[i + 1].id) : nullptr;
    ranks[i] = rule ? rule->rank : kNoRule;
    results[i] = rule ? rule->result : 0;
  };
  for (std::size_t i = 0; i < size; ++i) look_up(i);
  while (true) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < size; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (size == 0 || ranks[best] == kNoRule) break;
    word[best].id = results[best];
    word[best].end = word[best + 1].end;
    std::move(word + best + 2, word + size, word + best + 1);
    std::move(ranks.begin() + best + 2, ranks.begin() + size, ranks.begin() + best + 1);
    std::move(results.begin() + best + 2, results.begin() + size, results.begin() + best + 1);
    --size;
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
  symbols.resize(from + size);
}

/// The symbols of a long word as a linked list, with a heap of the merges that are possible.
class LongWord {
 public:
  LongWord(const MergeTable& table, std::span<Symbol> symbols)
      : table_(table), symbols_(symbols), links_(symbols.size()) {
    const auto size = static_cast<std::uint32_t>(symbols.size());
    for (std::uint32_t i = 0; i < size; ++i) links_[i] = {i == 0 ? kNone : i - 1, i + 1};
    links_.back().next = kNone;
    for (std::uint32_t i = 0; i < size; ++i) {
      if (const MergeRule* rule = rule_at(i)) heap_.push_back(candidate(*rule, i));
    }
    std::ranges::make_heap(heap_, std::greater());
  }

  /// Merges, and moves what is left to the front; returns how many symbols that is.
  std::size_t merge() {
    while (!heap_.empty()) {
      std::ranges::pop_heap(heap_, std::greater());
      const std::uint64_t top = heap_.back();
      heap_.pop_back();
      const auto at = static_cast<std::uint32_t>(top);
      // An older candidate for a place that has changed since is passed over.
      const MergeRule* rule = rule_at(at);
      if (rule && candidate(*rule, at) == top) apply(*rule, at);
    }
    std::size_t kept = 0;
    for (std::uint32_t i = 0; i != kNone; i = links_[i].next) symbols_[kept++] = symbols_[i];
    return kept;
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::uint32_t kGone = kNone - 1;
  struct Link {
    std::uint32_t previous = kNone;
    std::uint32_t next = kNone;  ///< kGone once merged into the symbol before it
  };

  /// Rank, then place, as one number: the heap's order.
  static std::uint64_t candidate(const MergeRule& rule, std::uint32_t at) {
    return (static_cast<std::uint64_t>(rule.rank) << 32) | at;
  }

  /// The rule for the pair that begins at a symbol, or null.
  const MergeRule* rule_at(std::uint32_t at) const {
    const std::uint32_t next = links_[at].next;
    return next >= kGone ? nullptr : table_.find(symbols_[at].id, symbols_[next].id);
  }

  void push(std::uint32_t at) {
    const MergeRule* rule = rule_at(at);
    if (!rule) return;
    heap_.push_back(candidate(*rule, at));
    std::ranges::push_heap(heap_, std::greater());
  }

  void apply(const MergeRule& rule, std::uint32_t at) {
    Link& link = links_[at];
    const std::uint32_t right = link.next;
    symbols_[at].id = rule.result;
    symbols_[at].end = symbols_[right].end;
    link.next = links_[right].next;
    links_[right].next = kGone;
    if (link.next != kNone) links_[link.next].previous = at;
    push(at);
    if (link.previous != kNone) push(link.previous);
  }

  const MergeTable& table_;
  std::span<Symbol> symbols_;
  std::vector<Link> links_;
  std::vector<std::uint64_t> heap_;
};

}  // namespace

void apply_merges(const MergeTable& table, std::vector<Symbol>& symbols, std::size_t from) {
  if (symbols.size() - from <= kShortWord) {
    merge_short(table, symbols, from);
  } else {
    if (symbols.size() - from > kLongestWord) {
      fail<InputError>("a word of ", symbols.size() - from, " bytes, expected at most ",
                       kLongestWord, "; split the text");
    }
    symbols.resize(from + LongWord(table, std::span(symbols).subspan(from)).merge());
  }
}

}  // namespace distill::text::detail
