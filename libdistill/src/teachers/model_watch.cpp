#include "teachers/model_watch.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include <distill/core/strings.h>

namespace distill::teachers::detail {

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

using Entries = std::vector<TokenLogProb>;

/// The probability of the `count`th likeliest: no id that a list of so many leaves out has more.
double bound_of(const Entries& entries, std::size_t count) {
  if (entries.empty() || count == 0) return 1;
  std::vector<double> log_probs;
  for (const auto& entry : entries) log_probs.push_back(entry.log_prob);
  const std::size_t last = std::min(count, log_probs.size()) - 1;
  std::ranges::nth_element(log_probs, log_probs.begin() + static_cast<std::ptrdiff_t>(last),
                           std::greater{});
  return std::exp(log_probs[last]);
}

/// At least so much is the total variation between two lists that ascend by id, of the `count`
/// likeliest each and perhaps one more: the larger of two bounds. An id that one of them leaves out
/// has at most its bound there; and all ids that are not in both can be compared as one.
double difference(const Entries& a, const Entries& b, std::size_t count) {
  const double bound_a = bound_of(a, count), bound_b = bound_of(b, count);
  double sum = 0, common = 0, rest_a = 1, rest_b = 1;
  for (auto i = a.begin(), j = b.begin(); i != a.end() || j != b.end();) {
    if (j == b.end() || (i != a.end() && i->id < j->id)) {
      sum += std::max(0.0, std::exp(i++->log_prob) - bound_b);
    } else if (i == a.end() || j->id < i->id) {
      sum += std::max(0.0, std::exp(j++->log_prob) - bound_a);
    } else {
      const double p = std::exp(i++->log_prob), q = std::exp(j++->log_prob);
      common += std::abs(p - q);
      rest_a -= p;
      rest_b -= q;
    }
  }
  return std::min(1.0, (common + std::max(sum, std::abs(rest_a - rest_b))) / 2);
}

}  // namespace

double distance(const PromptScores& a, const PromptScores& b) {
  if (a.log_probs.size() != b.log_probs.size()) return 1;
  if (a.log_probs.size() < 2) return 0;
  std::size_t count = std::numeric_limits<std::size_t>::max();
  for (const PromptScores* scores : {&a, &b}) {
    for (std::size_t i = 1; i < scores->log_probs.size(); ++i) {
      count = std::min(count, scores->log_probs[i].size());
    }
  }
  double sum = 0;
  for (std::size_t i = 1; i < a.log_probs.size(); ++i) {
    sum += difference(a.log_probs[i], b.log_probs[i], count);
  }
  return sum / static_cast<double>(a.log_probs.size() - 1);
}

ModelWatch::ModelWatch(WatchOptions options, PromptScores first)
    : options_(std::move(options)),
      first_(std::move(first)),
      next_look_(now() + options_.interval) {}

void ModelWatch::check_name(const PromptScores& answer) const {
  if (answer.fingerprint == first_.fingerprint) return;
  fail<TeacherError>(options_.who, ": the server has changed: it was `",
                     core::printable(first_.fingerprint), "` and is `",
                     core::printable(answer.fingerprint),
                     "` now; serve the first one again, or begin the run anew");
}

bool ModelWatch::is_due() {
  double due = next_look_;
  const double time = now();
  return time >= due && next_look_.compare_exchange_strong(due, time + options_.interval);
}

void ModelWatch::check_probe(const PromptScores& answer) const {
  check_name(answer);
  const double drift = distance(first_, answer);
  if (drift <= options_.max_drift) return;
  fail<TeacherError>(options_.who, ": the model has changed: its answers to the same text are ",
                     drift, " apart, at most ", options_.max_drift,
                     " (`max_drift`) is rounding; serve the first model again, or begin the run "
                     "anew");
}

}  // namespace distill::teachers::detail
