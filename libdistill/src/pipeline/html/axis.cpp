#include "pipeline/html/axis.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace distill::pipeline::html {

namespace {

constexpr int kMostTicks = 12;

/// 1, 2, 5 times a power of ten, for steps of at least `least`.
double round_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * 0.999) return factor * power;
  }
  return 10 * power;
}

std::vector<double> linear_ticks(const Axis& axis, int count) {
  std::vector<double> ticks;
  const double step = round_step((axis.high - axis.low) / count);
  const double first = std::ceil(axis.low / step - 1e-9);
  for (int i = 0; i < kMostTicks; ++i) {
    const double tick = (first + i) * step;
    if (tick > axis.high + 1e-9 * step) break;
    ticks.push_back(tick == 0 ? 0 : tick);  // no -0
  }
  return ticks;
}

std::vector<double> decades(const Axis& axis, int count) {
  std::vector<double> ticks;
  const double low = std::log10(axis.low);
  const double high = std::log10(axis.high);
  const bool few = high - low < 2.5;  // then 2 and 5 times a power of ten too
  const double stride = std::max(1.0, std::ceil((high - low) / count));
  for (double power = std::floor(low); power <= high; power += stride) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * std::pow(10.0, power);
      const bool inside = tick >= axis.low * 0.999 && tick <= axis.high * 1.001;
      if (inside && (factor == 1.0 || few)) ticks.push_back(tick);
    }
  }
  return ticks;
}

}  // namespace

double Axis::pixel(double value) const {
  const double inside = std::clamp(value, low, high);
  const double share =
      logarithmic ? (std::log(inside) - std::log(low)) / (std::log(high) - std::log(low))
                  : (inside / 2 - low / 2) / (high / 2 - low / 2);  // no difference overflows
  return from + share * (to - from);
}

std::vector<double> Axis::ticks(int count) const {
  return logarithmic ? decades(*this, count) : linear_ticks(*this, count);
}

Axis value_axis(double low, double high, bool may_be_logarithmic) {
  Axis axis;
  if (may_be_logarithmic && low > 0 && high / low >= 50) {
    axis.logarithmic = true;
    axis.low = low / 1.15;
    axis.high = high * 1.15;
    return axis;
  }
  const double margin = high > low ? 0.06 * (high - low) : std::max(std::fabs(high) * 0.1, 1e-9);
  axis.low = low - margin;
  axis.high = high + margin;
  if (low >= 0 && (low <= 0.4 * high || axis.low < 0)) axis.low = 0;
  if (!(axis.high > axis.low)) axis.high = axis.low + 1;
  return axis;
}

}  // namespace distill::pipeline::html
