#include "text/merge_table.h"

#include <algorithm>
#include <array>
#include <queue>
#include <tuple>

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
  LongWord(const MergeTable& table, std::vector<Symbol>& symbols, std::size_t from)
      : table_(table), all_(symbols), from_(from), size_(symbols.size() - from) {
    links_.resize(size_);
    for (std::size_t i = 0; i < size_; ++i) links_[i] = {i - 1, i + 1, true};
    for (std::size_t i = 0; i < size_; ++i) push(i);
  }

  void merge() {
    while (!heap_.empty()) {
      const Candidate top = heap_.top();
      heap_.pop();
      if (is_current(top)) apply(top);
    }
    std::size_t kept = from_;
    for (std::size_t i = 0; i < size_; ++i) {
      if (links_[i].alive) all_[kept++] = all_[from_ + i];
    }
    all_.resize(kept);
  }

 private:
  struct Link {
    std::size_t previous;  // wraps around before the first
    std::size_t next;
    bool alive;
  };
  struct Candidate {
    const MergeRule* rule;
    std::size_t at;
    bool operator<(const Candidate& other) const {  // std::priority_queue keeps the greatest on top
      return std::tie(rule->rank, at) > std::tie(other.rule->rank, other.at);
    }
  };

  std::int32_t id(std::size_t i) const { return all_[from_ + i].id; }

  void push(std::size_t at) {
    const std::size_t next = links_[at].next;
    if (next >= size_) return;
    if (const MergeRule* rule = table_.find(id(at), id(next))) heap_.push({rule, at});
  }

  bool is_current(const Candidate& candidate) const {
    const Link& link = links_[candidate.at];
    return link.alive && link.next < size_ && id(candidate.at) == candidate.rule->left &&
           id(link.next) == candidate.rule->right;
  }

  void apply(const Candidate& candidate) {
    Link& link = links_[candidate.at];
    const std::size_t right = link.next;
    Symbol& merged = all_[from_ + candidate.at];
    merged.id = candidate.rule->result;
    merged.end = all_[from_ + right].end;
    links_[right].alive = false;
    link.next = links_[right].next;
    if (link.next < size_) links_[link.next].previous = candidate.at;
    push(candidate.at);
    if (link.previous < size_) push(link.previous);
  }

  const MergeTable& table_;
  std::vector<Symbol>& all_;
  std::size_t from_;
  std::size_t size_;
  std::vector<Link> links_;
  std::priority_queue<Candidate> heap_;
};

}  // namespace

void apply_merges(const MergeTable& table, std::vector<Symbol>& symbols, std::size_t from) {
  if (symbols.size() - from <= kShortWord) {
    merge_short(table, symbols, from);
  } else {
    LongWord(table, symbols, from).merge();
  }
}

}  // namespace distill::text::detail
