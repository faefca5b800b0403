#include "teachers/top_k_rows.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/empty.h>

namespace distill::teachers::detail {

namespace {

/// Rows of a head that no token belongs to, which training never touched, can be among the
/// likeliest of a distribution that is nearly certain.
constexpr double kTrace = 1e-3;

using Entries = std::vector<TokenLogProb>;

void drop_foreign(Entries& entries, const TopKShape& shape, const std::string& who) {
  double lost = 0;
  for (const auto& entry : entries) {
    if (entry.id < shape.vocabulary) continue;
    lost += std::exp(entry.log_prob);
    if (lost > kTrace) {
      fail<TeacherError>(who, ": gives the id ", entry.id, " the probability ", lost,
                         ", the student has ", shape.vocabulary,
                         " ids; teacher and student must share a tokenizer");
    }
  }
  std::erase_if(entries, [&](const auto& entry) { return entry.id >= shape.vocabulary; });
}

/// Where several are as unlikely, the token of the text goes first: it came on top.
void drop_least_likely(Entries& entries, std::int64_t actual, std::int64_t top_k) {
  while (std::ssize(entries) > top_k) {
    const auto least = std::ranges::min_element(entries, [&](const auto& a, const auto& b) {
      if (a.log_prob != b.log_prob) return a.log_prob < b.log_prob;
      return a.id == actual && b.id != actual;
    });
    entries.erase(least);
  }
}

/// Ids that are not listed share what is left; makes rows of one width where some were dropped.
void fill_up(Entries& entries, const TopKShape& shape) {
  const std::int64_t missing = shape.top_k - std::ssize(entries);
  if (missing <= 0) return;
  double rest = 1;
  for (const auto& entry : entries) rest -= std::exp(entry.log_prob);
  const auto others = static_cast<double>(shape.vocabulary - std::ssize(entries));
  const double share = std::log(std::max(rest, 1e-12) / others);
  const Entries known = entries;
  for (std::int64_t id = 0; std::ssize(entries) < shape.top_k; ++id) {
    if (!std::ranges::binary_search(known, id, {}, &TokenLogProb::id)) {
      entries.push_back({id, share});
    }
  }
  std::ranges::sort(entries, {}, &TokenLogProb::id);
}

}  // namespace

TopKRows top_k_rows(const PromptScores& scores, const std::vector<std::int64_t>& ids,
                    const TopKShape& shape, const std::string& who) {
  const std::int64_t num_rows = std::ssize(ids);
  TopKRows rows{at::empty({num_rows, shape.top_k}, at::kInt),
                at::empty({num_rows, shape.top_k}, at::kFloat)};
  auto* id = rows.ids.mutable_data_ptr<std::int32_t>();
  auto* log_prob = rows.log_probs.mutable_data_ptr<float>();
  for (std::size_t t = 0; t < ids.size(); ++t) {
    Entries entries;
    if (t + 1 < scores.log_probs.size()) {
      entries = scores.log_probs[t + 1];
      drop_foreign(entries, shape, who);
      drop_least_likely(entries, ids[t + 1], shape.top_k);
    }
    fill_up(entries, shape);
    for (const auto& entry : entries) {
      *id++ = static_cast<std::int32_t>(entry.id);
      *log_prob++ = static_cast<float>(entry.log_prob);
    }
  }
  return rows;
}

}  // namespace distill::teachers::detail
