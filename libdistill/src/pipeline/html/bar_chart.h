#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/html/numbers.h"

namespace distill::pipeline::html {

/// A value and perhaps the interval that it is known to.
struct Bar {
  std::optional<double> value;
  std::optional<std::pair<double, double>> interval;
};

/// A category with one bar for each series.
struct BarRow {
  std::string name;
  std::vector<Bar> bars;
};

struct BarChart {
  std::string id;  ///< unique on the page
  std::string title;
  std::string note = {};
  std::vector<std::string> series = {};  ///< `before`, `after`; at most 3
  std::vector<BarRow> rows = {};         ///< beyond kMostRows they are left out
  Unit unit = Unit::kNumber;
  std::optional<double> neutral = {};  ///< a line where there is no bias, when that is not 0

  static constexpr std::size_t kMostRows = 40;
};

/// A `figure` of horizontal bars with whiskers; empty when there is no value.
std::string bar_chart(const BarChart& chart);

}  // namespace distill::pipeline::html
