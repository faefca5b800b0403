#pragma once

#include <vector>

namespace distill::pipeline::html {

/// From values to pixels along one side of a chart.
struct Axis {
  double low = 0;
  double high = 1;           ///< above `low`
  bool logarithmic = false;  ///< then `low` is above 0
  double from = 0;           ///< pixel of `low`
  double to = 1;             ///< pixel of `high`

  /// Values outside are drawn at the ends.
  double pixel(double value) const;
  /// Round values for about `count` ticks, ascending.
  std::vector<double> ticks(int count) const;
};

/// An axis of values that reach from `low` to `high`: with 0 where that is near, and where it may
/// be logarithmic, so where all are positive and the greatest is 50 times the least.
Axis value_axis(double low, double high, bool may_be_logarithmic = true);

}  // namespace distill::pipeline::html
