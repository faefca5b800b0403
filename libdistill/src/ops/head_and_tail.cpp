#include "ops/head_and_tail.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "ops/cpu/isa.h"

namespace distill::ops::cpu {

namespace {

/// The middle one of three, to part by.
template <class T>
T pivot_of(std::span<T> x) {
  const T a = x.front();
  const T b = x[x.size() / 2];
  const T c = x.back();
  return std::max(std::min(a, b), std::min(std::max(a, b), c));
}

}  // namespace

// Selection by mass: like quickselect, in a time that grows with the number of entries.
template <class T>
T least_of_head(std::vector<T>& probabilities, double mass) {
  std::span<T> rest(probabilities);
  T least = 1;
  while (!rest.empty()) {
    const T pivot = pivot_of(rest);
    const auto above = std::partition(rest.begin(), rest.end(), [&](T x) { return x > pivot; });
    const auto below = std::partition(above, rest.end(), [&](T x) { return !(x < pivot); });
    const double mass_above = std::accumulate(rest.begin(), above, 0.0);
    if (above != rest.begin() && mass_above >= mass) {
      rest = std::span<T>(rest.begin(), above);
      continue;
    }
    least = pivot;
    mass -= mass_above + static_cast<double>(pivot) * static_cast<double>(below - above);
    if (mass <= 0) break;
    rest = std::span<T>(below, rest.end());
  }
  return least;
}

namespace {

void exp_in_place(std::vector<float>& x) {
  cpu::kernels().exp(x.data(), x.data(), std::ssize(x));
}
void exp_in_place(std::vector<double>& x) {
  for (double& value : x) value = std::exp(value);
}

}  // namespace

template <class T>
T head_threshold(const std::vector<T>& logits, const Softmax<T>& softmax, double mass) {
  const auto& [maximum, log_sum, inverse_temperature] = softmax;
  // Entries below this together hold less than half of what need not be in the head.
  const double least = (1 - mass) / (2 * static_cast<double>(logits.size()));
  const T cut = maximum + (static_cast<T>(std::log(least)) + log_sum) / inverse_temperature;
  std::vector<T> likely;
  for (const T x : logits) {
    if (x >= cut) likely.push_back((x - maximum) * inverse_temperature - log_sum);
  }
  exp_in_place(likely);
  const T threshold = std::log(least_of_head(likely, mass));
  constexpr T kSlack = 8 * std::numeric_limits<T>::epsilon();
  return threshold - kSlack * (1 + std::abs(threshold));
}

template float head_threshold(const std::vector<float>&, const Softmax<float>&, double);
template double head_threshold(const std::vector<double>&, const Softmax<double>&, double);
template float least_of_head(std::vector<float>&, double);
template double least_of_head(std::vector<double>&, double);

}  // namespace distill::ops::cpu
