#include "models/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <distill/core/error.h>

namespace distill::models {

namespace {

/// NaN, where there is one.
float largest_of(std::span<const float> logits) {
  float largest = logits.front();
  for (const float x : logits) {
    if (!(x <= largest)) largest = x;
    if (std::isnan(largest)) break;
  }
  return largest;
}

/// Likelier ids first, the smaller one of two alike.
auto likelier(std::span<const float> logits) {
  return [logits](std::int64_t a, std::int64_t b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options, std::uint64_t stream,
                 std::span<const std::int64_t> prompt)
    : options_(options), random_(options.seed, stream) {
  for (const std::int64_t id : prompt) mark(id);
}

void Sampler::mark(std::int64_t id) {
  if (options_.repetition_penalty == 1.0) return;
  if (std::find(seen_.begin(), seen_.end(), id) == seen_.end()) seen_.push_back(id);
}

void Sampler::penalise(std::span<float> logits) const {
  const auto penalty = static_cast<float>(options_.repetition_penalty);
  for (const std::int64_t id : seen_) {
    if (id >= std::ssize(logits)) continue;
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
}

std::int64_t Sampler::next(std::span<float> logits) {
  penalise(logits);
  const float largest = largest_of(logits);
  if (!std::isfinite(largest)) {
    fail<Error>("the model's logits are not finite (", largest, "), no id can be chosen by them");
  }
  const std::int64_t id = options_.temperature == 0.0
                              ? std::find(logits.begin(), logits.end(), largest) - logits.begin()
                              : draw(logits, largest);
  mark(id);
  return id;
}

double Sampler::cut(std::span<const float> logits) {
  const auto order = likelier(logits);
  if (options_.top_k > 0 && options_.top_k < std::ssize(ids_)) {
    std::nth_element(ids_.begin(), ids_.begin() + options_.top_k - 1, ids_.end(), order);
    ids_.resize(static_cast<std::size_t>(options_.top_k));
  }
  const auto weight = [&](std::int64_t id) { return weights_[static_cast<std::size_t>(id)]; };
  double total = 0.0;
  for (const std::int64_t id : ids_) total += weight(id);
  if (options_.top_p >= 1.0) return total;
  // A few ids hold most of the mass: sort so many more at a time.
  const double wanted = options_.top_p * total;
  double kept = 0.0;
  std::size_t count = 0;
  for (std::size_t sorted = 0; count < ids_.size() && kept < wanted;) {
    const std::size_t next = std::min(ids_.size(), sorted == 0 ? 32 : sorted * 8);
    const auto begin = ids_.begin() + static_cast<std::ptrdiff_t>(sorted);
    std::partial_sort(begin, ids_.begin() + static_cast<std::ptrdiff_t>(next), ids_.end(), order);
    sorted = next;
    while (count < sorted && (count == 0 || kept < wanted)) kept += weight(ids_[count++]);
  }
  ids_.resize(count);
  return kept;
}

std::int64_t Sampler::draw(std::span<const float> logits, float largest) {
  weights_.resize(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    weights_[i] = std::exp((static_cast<double>(logits[i]) - static_cast<double>(largest)) /
                           options_.temperature);
  }
  ids_.resize(logits.size());
  std::iota(ids_.begin(), ids_.end(), 0);
  double rest = random_.uniform() * cut(logits);
  for (const std::int64_t id : ids_) {
    rest -= weights_[static_cast<std::size_t>(id)];
    if (rest < 0.0) return id;
  }
  // Rounding left a rest: the likeliest is as good as any and never an id of no weight.
  return *std::min_element(ids_.begin(), ids_.end(), likelier(logits));
}

}  // namespace distill::models
