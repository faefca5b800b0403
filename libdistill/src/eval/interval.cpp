#include "eval/interval.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace distill::eval {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Between the two values nearest to the place.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  if (sorted[below] == sorted[above]) return sorted[below];  // infinite ones too
  const double part = place - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

}  // namespace

Interval wilson(double share, double trials) {
  if (!(trials > 0)) return {0, 1};
  if (std::isnan(share)) return {kNan, kNan};
  constexpr double z = 1.959963984540054;  // 97.5 % of a normal distribution lie below it
  const double z2 = z * z / trials;
  const double middle = (share + z2 / 2) / (1 + z2);
  const double half = z / (1 + z2) * std::sqrt(share * (1 - share) / trials + z2 / (4 * trials));
  return {std::max(middle - half, 0.0), std::min(middle + half, 1.0)};
}

Interval middle(std::vector<double> values) {
  const std::size_t all = values.size();
  std::erase_if(values, [](double value) { return std::isnan(value); });
  if (values.empty() || 2 * values.size() < all) return {kNan, kNan};
  std::ranges::sort(values);
  return {quantile(values, 0.025), quantile(values, 0.975)};
}

}  // namespace distill::eval
