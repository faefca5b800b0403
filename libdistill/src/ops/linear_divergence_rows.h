#pragma once

#include <cstdint>
#include <vector>

#include "ops/cpu/divergence_table.h"
#include "ops/linear_divergence_problem.h"

/// Row statistics and terms as the CPU kernels read them. T is float or double.
namespace distill::ops::cpu {

/// Running maxima and sums of one model over a chunk of rows, one part for each slot of work.
template <class T>
class RunningStats {
 public:
  RunningStats(std::int64_t slots, std::int64_t rows, std::vector<T> inverse_temperatures);
  void reset();
  /// Points `args` at the statistics of `slot` from `first_row` on.
  void attach(StatsArgs<T>& args, std::int64_t slot, std::int64_t first_row);
  /// Merges the slots in order into one maximum a row and one log-sum a row and temperature.
  void finish(std::int64_t rows);
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

template <class T>
std::vector<T> inverse_temperatures(const DivergenceProblem& problem);

template <class T>
std::vector<TermArgs<T>> term_args(const DivergenceProblem& problem);

template <class T>
Transform<T> transform_of(const ModelSide& side) {
  return {static_cast<T>(side.transform.scale), static_cast<T>(side.transform.softcap)};
}

/// Values of each slot and term, added in the order of the slots.
class SlotValues {
 public:
  SlotValues(std::int64_t slots, std::int64_t terms)
      : terms_(terms), values_(static_cast<std::size_t>(slots * (terms + kGap))) {}
  double* of(std::int64_t slot) { return values_.data() + slot * (terms_ + kGap); }
  std::vector<double> total() const;

 private:
  static constexpr std::int64_t kGap = 8;  // keeps slots on different cache lines
  std::int64_t terms_;
  std::vector<double> values_;
};

/// Uninitialised memory for logits, in huge pages where the system has them: the first touch of
/// hundreds of MiB in small ones takes a tenth of the whole operator's time.
at::Tensor logit_buffer(at::IntArrayRef sizes, at::ScalarType type);

/// More rows at once gain nothing: the heads are read seldom enough, and first touching more memory
/// costs more than it saves.
inline constexpr std::int64_t kMostRows = 512;

/// Work is split into as many slots as there are threads, whoever runs them: the order of every
/// sum depends on nothing else.
std::int64_t num_slots();

/// Logits below which starting another thread costs more than it saves.
inline constexpr std::int64_t kLogitsForThread = 1 << 14;

}  // namespace distill::ops::cpu
