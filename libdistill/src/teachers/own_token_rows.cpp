#include "teachers/own_token_rows.h"

#include <algorithm>

#include <ATen/ops/zeros.h>

namespace distill::teachers::detail {

TopKRows own_token_rows(const PromptScores& scores, const std::vector<std::int64_t>& ids) {
  const std::int64_t num_rows = std::ssize(ids);
  TopKRows rows{at::zeros({num_rows, 1}, at::kInt), at::zeros({num_rows, 1}, at::kFloat)};
  auto* id = rows.ids.mutable_data_ptr<std::int32_t>();
  auto* log_prob = rows.log_probs.mutable_data_ptr<float>();
  for (std::size_t t = 0; t + 1 < std::min(ids.size(), scores.log_probs.size()); ++t) {
    const auto& entries = scores.log_probs[t + 1];
    const auto own = std::ranges::lower_bound(entries, ids[t + 1], {}, &TokenLogProb::id);
    if (own == entries.end() || own->id != ids[t + 1]) {
      fail<TeacherError>("the server's answer lacks the text's own token ", ids[t + 1]);
    }
    id[t] = static_cast<std::int32_t>(own->id);
    log_prob[t] = static_cast<float>(own->log_prob);
  }
  return rows;
}

}  // namespace distill::teachers::detail
