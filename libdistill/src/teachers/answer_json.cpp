#include "teachers/answer_json.h"

#include <algorithm>
#include <cmath>

namespace distill::teachers::detail {

double read_log_prob(const io::JsonCursor& number) {
  constexpr double kRounding = 1e-5;
  const double value = number.as_double();
  if (value > kRounding) {
    number.fail(core::concat("is the log-probability ", value, ", expected at most 0"));
  }
  return std::min(value, 0.0);
}

std::vector<TokenLogProb> checked_position(std::vector<TokenLogProb> entries, std::int64_t actual,
                                           std::int64_t wanted, const io::JsonCursor& where) {
  constexpr double kRounding = 1e-3;
  if (std::ssize(entries) < wanted || std::ssize(entries) > wanted + 1) {
    where.fail(core::concat("has ", entries.size(), " ids, expected ", wanted, " or one more"));
  }
  std::ranges::sort(entries, {}, &TokenLogProb::id);
  double sum = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    sum += std::exp(entries[i].log_prob);
    if (i > 0 && entries[i].id == entries[i - 1].id) {
      where.fail(core::concat("has the id ", entries[i].id, " twice"));
    }
  }
  if (!std::ranges::binary_search(entries, actual, {}, &TokenLogProb::id)) {
    where.fail(core::concat("lacks the prompt's own token ", actual));
  }
  if (sum > 1 + kRounding) {
    where.fail(core::concat("has probabilities that sum to ", sum, ", expected at most 1"));
  }
  return entries;
}

}  // namespace distill::teachers::detail
