#include "text/merge_table.h"

#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <tuple>

#include <distill/core/error.h>

namespace distill::text::detail {

MergeTable::MergeTable(std::vector<MergeRule> rules, std::size_t num_ids) : first_(num_ids + 1, 0) {
  const auto pair_of = [](const MergeRule& rule) { return std::tuple(rule.left, rule.right); };
  std::ranges::stable_sort(rules, {}, pair_of);
  for (const MergeRule& rule : rules) {
    if (!rules_.empty() && pair_of(rules_.back()) == pair_of(rule)) {
      rules_.back() = rule;
    } else {
      rules_.push_back(rule);
    }
  }
  rules_.shrink_to_fit();
  for (const MergeRule& rule : rules_) ++first_.at(static_cast<std::size_t>(rule.left) + 1);
  for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
}

const MergeRule* MergeTable::find(std::int32_t left, std::int32_t right) const {
  const auto index = static_cast<std::size_t>(left);
  const MergeRule* begin = rules_.data() + first_[index];
  const MergeRule* end = rules_.data() + first_[index + 1];
  const MergeRule* found = std::ranges::lower_bound(begin, end, right, {}, &MergeRule::right);
  return found != end && found->right == right ? found : nullptr;
}

namespace {

/// Words up to this length search all pairs at every step: quicker than a heap.
constexpr std::size_t kShortWord = 24;

/// Places in a word are 32-bit numbers.
constexpr std::size_t kLongestWord = std::size_t{1} << 31;

void merge_short(const MergeTable& table, std::vector<Symbol>& symbols, std::size_t from) {
  std::array<const MergeRule*, kShortWord> rules{};  // of the pair that begins at each symbol
  const auto look_up = [&](std::size_t i) {
    const bool pair = from + i + 1 < symbols.size();
    rules[i] = pair ? table.find(symbols[from + i].id, symbols[from + i + 1].id) : nullptr;
  };
  std::size_t size = symbols.size() - from;
  for (std::size_t i = 0; i < size; ++i) look_up(i);
  while (true) {
    std::size_t best = size;
    for (std::size_t i = 0; i < size; ++i) {
      if (rules[i] && (best == size || rules[i]->rank < rules[best]->rank)) best = i;
    }
    if (best == size) return;
    Symbol& merged = symbols[from + best];
    merged.id = rules[best]->result;
    merged.end = symbols[from + best + 1].end;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(from + best + 1));
    std::move(rules.begin() + best + 2, rules.begin() + size, rules.begin() + best + 1);
    --size;
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
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
