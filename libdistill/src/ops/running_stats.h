#pragma once

#include <cstdint>
#include <vector>

#include "ops/cpu/divergence_table.h"

namespace distill::ops::cpu {

/// Running maxima and sums of one model over a chunk of rows, one part for each slot of work.
template <class T>
class RunningStats {
 public:
  RunningStats(std::int64_t slots, std::int64_t rows, std::vector<T> inverse_temperatures);
  void reset();
  /// Points `args` at the statistics of `slot` from `first_row` on.
  void attach(StatsArgs<T>& args, std::int64_t slot, std::int64_t first_row);
  /// Merges the slots of rows [first, last), in order, into one maximum a row and one log-sum a row
  /// and temperature.
  void finish(std::int64_t first, std::int64_t last);
  RowStats<T> from_row(std::int64_t row) const;
  static std::int64_t bytes_per_row(std::int64_t slots, std::int64_t temperatures);

 private:
  std::int64_t slots_;
  std::int64_t rows_;
  std::vector<T> inverse_temperatures_;
  std::vector<T> running_maxima_;  // [slots, rows, kStatLanes]
  std::vector<T> running_sums_;    // [slots, rows, temperatures, kStatLanes]
  std::vector<T> maxima_;          // [rows]
  std::vector<T> log_sums_;        // [rows, temperatures]
};

}  // namespace distill::ops::cpu
