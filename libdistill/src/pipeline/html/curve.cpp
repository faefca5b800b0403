#include "pipeline/html/curve.h"

#include <algorithm>
#include <cmath>

namespace distill::pipeline::html {

void Curve::Column::add(const Column& other) {
  if (other.count == 0) return;
  low = count == 0 ? other.low : std::min(low, other.low);
  high = count == 0 ? other.high : std::max(high, other.high);
  steps += other.steps;
  values += other.values;
  count += other.count;
}

bool Curve::add(std::int64_t step, double value) {
  if (step < 0 || !(std::fabs(value) <= kLargest)) return false;
  const auto position = static_cast<std::uint64_t>(step);
  while ((position >> width_bits_) >= kMostColumns) {
    ++width_bits_;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const Column column = columns_[i];
      columns_[i] = {};
      columns_[i / 2].add(column);
    }
    columns_.resize((columns_.size() + 1) / 2);
  }
  const auto index = static_cast<std::size_t>(position >> width_bits_);
  if (index >= columns_.size()) columns_.resize(index + 1);
  columns_[index].add({static_cast<double>(step), value, value, value, 1});
  ++count_;
  sum_ += value;
  last_ = value;
  return true;
}

std::vector<Curve::Point> Curve::points() const {
  std::vector<Point> points;
  for (const auto& column : columns_) {
    if (column.count == 0) continue;
    const auto count = static_cast<double>(column.count);
    points.push_back(
        {column.steps / count, column.values / count, column.low, column.high, column.count});
  }
  return points;
}

}  // namespace distill::pipeline::html
