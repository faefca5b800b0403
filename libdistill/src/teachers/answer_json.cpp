#include "teachers/answer_json.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <distill/core/checked.h>

namespace distill::teachers {

namespace {

constexpr std::uint64_t kMostEntries = std::uint64_t{1} << 22;
/// vLLM writes about 90 bytes and 4 values for an id, with what it spells, and names may be long.
constexpr std::uint64_t kBytesOfEntry = 256;
constexpr std::uint64_t kValuesOfEntry = 8;

/// All ids of an answer; nothing: too many.
std::optional<std::uint64_t> num_entries(std::int64_t num_tokens, std::int64_t top_k) {
  if (num_tokens < 0 || top_k < 0) return std::nullopt;
  const auto count = core::checked_mul(static_cast<std::uint64_t>(num_tokens),
                                       static_cast<std::uint64_t>(top_k) + 1);
  return count && *count <= kMostEntries ? count : std::nullopt;
}

}  // namespace

void check_score_size(std::int64_t num_tokens, std::int64_t top_k) {
  if (num_entries(num_tokens, top_k)) return;
  fail<InputError>("the scores of ", num_tokens, " tokens with ", top_k,
                   " ids each and one more are too many for one answer, at most ", kMostEntries,
                   " are read; use shorter rows or fewer ids (`top_k`)");
}

}  // namespace distill::teachers

namespace distill::teachers::detail {

io::JsonLimits score_limits(std::int64_t num_tokens, std::int64_t top_k) {
  check_score_size(num_tokens, top_k);
  const std::uint64_t entries = num_entries(num_tokens, top_k).value_or(0);
  io::JsonLimits limits = kAnswerLimits;
  limits.max_bytes = std::max(limits.max_bytes, (std::uint64_t{1} << 20) + kBytesOfEntry * entries);
  limits.max_values = std::max(limits.max_values, kValuesOfEntry * entries);
  return limits;
}

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
