#include "pipeline/html/samples.h"

#include <algorithm>
#include <cmath>

namespace distill::pipeline::html {

void Samples::Group::add(const Group& other) {
  if (other.low.value < low.value) low = other.low;
  if (other.high.value > high.value) high = other.high;
}

/// Whether one more group could be one too many to draw.
bool Samples::is_full() const {
  const std::size_t points_each = group_size_ == 1 ? 1 : 2;
  return (groups_.size() + 1) * points_each > kMostPoints;
}

void Samples::join_pairs() {
  group_size_ *= 2;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const Group group = groups_[i];
    if (i % 2 == 0) {
      groups_[i / 2] = group;
    } else {
      groups_[i / 2].add(group);
    }
  }
  groups_.resize((groups_.size() + 1) / 2);
}

bool Samples::add(std::int64_t step, double value) {
  if (step < 0 || !(std::fabs(value) <= Curve::kLargest)) return false;
  last_ = {count_, static_cast<double>(step), value};
  if (count_ == 0) first_ = last_;
  if (count_ % group_size_ == 0) {
    while (is_full()) join_pairs();
  }
  if (count_ % group_size_ == 0) {
    groups_.push_back({last_, last_});
  } else {
    groups_.back().add({last_, last_});
  }
  ++count_;
  return true;
}

std::vector<Curve::Point> Samples::points() const {
  std::vector<Sample> drawn;
  if (count_ > 0) drawn = {first_, last_};
  for (const auto& group : groups_) {
    drawn.push_back(group.low);
    drawn.push_back(group.high);
  }
  std::ranges::sort(drawn, {}, &Sample::number);
  const auto twice = std::ranges::unique(drawn, {}, &Sample::number);
  drawn.erase(twice.begin(), twice.end());
  std::vector<Curve::Point> points;
  for (const auto& sample : drawn) {
    points.push_back({sample.step, sample.value, sample.value, sample.value, 1});
  }
  return points;
}

}  // namespace distill::pipeline::html
