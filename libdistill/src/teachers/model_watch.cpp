#include "teachers/model_watch.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <distill/core/strings.h>

namespace distill::teachers::detail {

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Total variation between two lists that ascend by id.
double difference(const std::vector<TokenLogProb>& a, const std::vector<TokenLogProb>& b) {
  double sum = 0;
  double rest_a = 1;
  double rest_b = 1;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
    if (i->id != j->id) {
      ++(i->id < j->id ? i : j);
      continue;
    }
    const double p = std::exp(i++->log_prob);
    const double q = std::exp(j++->log_prob);
    sum += std::abs(p - q);
    rest_a -= p;
    rest_b -= q;
  }
  return (sum + std::abs(rest_a - rest_b)) / 2;
}

}  // namespace

double distance(const PromptScores& a, const PromptScores& b) {
  if (a.log_probs.size() != b.log_probs.size()) return 1;
  double sum = 0;
  for (std::size_t i = 1; i < a.log_probs.size(); ++i) {
    sum += difference(a.log_probs[i], b.log_probs[i]);
  }
  return a.log_probs.size() < 2 ? 0 : sum / static_cast<double>(a.log_probs.size() - 1);
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
