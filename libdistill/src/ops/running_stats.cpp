#include "ops/running_stats.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/Parallel.h>

namespace distill::ops::cpu {

template <class T>
RunningStats<T>::RunningStats(std::int64_t slots, std::int64_t rows,
                              std::vector<T> inverse_temperatures)
    : slots_(slots),
      rows_(rows),
      inverse_temperatures_(std::move(inverse_temperatures)),
      running_maxima_(static_cast<std::size_t>(slots * rows * kStatLanes)),
      running_sums_(running_maxima_.size() * inverse_temperatures_.size()),
      maxima_(static_cast<std::size_t>(rows)),
      log_sums_(maxima_.size() * inverse_temperatures_.size()) {}

template <class T>
void RunningStats<T>::reset() {
  std::fill(running_maxima_.begin(), running_maxima_.end(), std::numeric_limits<T>::lowest() / 2);
  std::fill(running_sums_.begin(), running_sums_.end(), T(0));
}

template <class T>
void RunningStats<T>::attach(StatsArgs<T>& args, std::int64_t slot, std::int64_t first_row) {
  const auto temperatures = static_cast<std::int64_t>(inverse_temperatures_.size());
  const std::int64_t offset = (slot * rows_ + first_row) * kStatLanes;
  args.inverse_temperatures = inverse_temperatures_.data();
  args.num_temperatures = temperatures;
  args.maxima = running_maxima_.data() + offset;
  args.sums = running_sums_.data() + offset * temperatures;
}

template <class T>
void RunningStats<T>::finish(std::int64_t first, std::int64_t last) {
  const auto temperatures = static_cast<std::int64_t>(inverse_temperatures_.size());
  at::parallel_for(first, last, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      T maximum = std::numeric_limits<T>::lowest();
      for (std::int64_t slot = 0; slot < slots_; ++slot) {
        const T* lanes = running_maxima_.data() + (slot * rows_ + row) * kStatLanes;
        maximum = std::max(maximum, *std::max_element(lanes, lanes + kStatLanes));
      }
      maxima_[row] = maximum;
      for (std::int64_t t = 0; t < temperatures; ++t) {
        double total = 0;
        for (std::int64_t slot = 0; slot < slots_; ++slot) {
          const std::int64_t at_row = slot * rows_ + row;
          const T* lane_maxima = running_maxima_.data() + at_row * kStatLanes;
          const T* lane_sums = running_sums_.data() + (at_row * temperatures + t) * kStatLanes;
          for (std::int64_t lane = 0; lane < kStatLanes; ++lane) {
            total += static_cast<double>(lane_sums[lane]) *
                     std::exp(static_cast<double>((lane_maxima[lane] - maximum) *
                                                  inverse_temperatures_[t]));
          }
        }
        log_sums_[row * temperatures + t] = static_cast<T>(std::log(total));
      }
    }
  });
}

template <class T>
RowStats<T> RunningStats<T>::from_row(std::int64_t row) const {
  return {maxima_.data() + row,
          log_sums_.data() + row * static_cast<std::int64_t>(inverse_temperatures_.size())};
}

template <class T>
std::int64_t RunningStats<T>::bytes_per_row(std::int64_t slots, std::int64_t temperatures) {
  return (1 + temperatures) * (slots * kStatLanes + 1) * static_cast<std::int64_t>(sizeof(T));
}

template class RunningStats<float>;
template class RunningStats<double>;

}  // namespace distill::ops::cpu
