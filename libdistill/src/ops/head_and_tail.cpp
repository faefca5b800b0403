#include "ops/head_and_tail.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace distill::ops::cpu {

namespace {

template <class T>
double probability(std::span<const T> log_probs) {
  double total = 0;
  for (const T x : log_probs) total += std::exp(static_cast<double>(x));
  return total;
}

/// The middle one of three, to part by.
template <class T>
T pivot_of(std::span<const T> x) {
  const T a = x.front();
  const T b = x[x.size() / 2];
  const T c = x.back();
  return std::max(std::min(a, b), std::min(std::max(a, b), c));
}

}  // namespace

// Selection by mass: like quickselect, in a time that grows with the number of entries.
template <class T>
T head_threshold(std::vector<T>& log_probs, double mass) {
  // Together these hold less than half of what need not be in the head.
  const T negligible = static_cast<T>(
      std::log((1 - mass) / (2 * static_cast<double>(std::max<std::size_t>(log_probs.size(), 1)))));
  std::erase_if(log_probs, [&](T x) { return x < negligible; });
  std::span<T> rest(log_probs);
  T threshold = 0;
  while (!rest.empty()) {
    const T pivot = pivot_of(std::span<const T>(rest));
    const auto above = std::partition(rest.begin(), rest.end(), [&](T x) { return x > pivot; });
    const auto below = std::partition(above, rest.end(), [&](T x) { return !(x < pivot); });
    const double mass_above = probability(std::span<const T>(rest.begin(), above));
    if (above != rest.begin() && mass_above >= mass) {
      rest = std::span<T>(rest.begin(), above);
      continue;
    }
    threshold = pivot;
    mass -= mass_above + probability(std::span<const T>(above, below));
    if (mass <= 0) break;
    rest = std::span<T>(below, rest.end());
  }
  return threshold;
}

template float head_threshold(std::vector<float>&, double);
template double head_threshold(std::vector<double>&, double);

}  // namespace distill::ops::cpu
