#include "ops/head_and_tail.h"

#include <algorithm>
#include <numeric>
#include <span>

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

template float least_of_head(std::vector<float>&, double);
template double least_of_head(std::vector<double>&, double);

}  // namespace distill::ops::cpu
