#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ops/cpu/divergence_table.h"
#include "ops/cpu/round_up.h"
#include "ops/linear_divergence_problem.h"
#include "ops/running_stats.h"

/// All of linear_divergence on a CPU that is not matrix products. T is float or double.
namespace distill::ops::cpu {

/// Some rows of a chunk by a block of ids, in logits of one model.
template <class T>
struct Tile {
  T* data = nullptr;
  std::int64_t stride = 0;
  std::int64_t columns = 0;    ///< ids, padded to a multiple of kColumnStep
  std::int64_t num_ids = 0;    ///< real ones
  std::int64_t first_id = 0;   ///< of the block
  std::int64_t first_row = 0;  ///< among those that `begin` took
  std::int64_t rows = 0;
};

/// Where a gradient tile is wanted in bf16.
struct Bf16Rows {
  Bf16* data = nullptr;
  std::int64_t stride = 0;
};

/// Some of the rows that `begin` took, all of them or those of one chunk.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

/// Statistics, reductions and values of rows. After `begin`, for each chunk of them, in this order:
///   add_student and add_teacher for all tiles, finish_stats,
///   set_thresholds if wants_thresholds(), reduce for all tiles and finish_reductions if reduces(),
///   gradient for all tiles if wants_last_pass(), perhaps with logits formed anew: those are
///   prepared before.
/// Calls for different tiles may run at once when their slots or their rows differ. The order of
/// every sum depends on slots and tiles only.
template <class T>
class DivergenceRows {
 public:
  /// Takes at most `capacity` rows at a time; statistics in `stat_slots` parts, values in
  /// `value_slots`.
  DivergenceRows(const DivergenceProblem& problem, std::int64_t capacity, std::int64_t stat_slots,
                 std::int64_t value_slots);
  /// Memory for each row of capacity.
  static std::int64_t bytes_per_row(const DivergenceProblem& problem, std::int64_t stat_slots);

  /// Rows [first_row, first_row + rows) of those that count.
  void begin(std::int64_t first_row, std::int64_t rows);
  /// Logits as the products gave them; the models' transforms are applied in place.
  void add_student(const Tile<T>& tile, std::int64_t stat_slot);
  void add_teacher(const Tile<T>& tile, std::int64_t stat_slot);
  void finish_stats(RowRange range);

  bool wants_thresholds() const { return wants_thresholds_; }
  /// `copy_row(row, out)` writes the teacher's logits of a row, vocabulary many.
  void set_thresholds(RowRange range,
                      const std::function<void(std::int64_t row, T* out)>& copy_row);

  bool reduces() const { return reduces_; }
  void reduce(const Tile<T>& student, const Tile<T>& teacher, std::int64_t stat_slot);
  void finish_reductions(RowRange range);

  /// The models' transforms alone, for logits that were counted before.
  void prepare_student(const Tile<T>& tile) const;
  void prepare_teacher(const Tile<T>& tile) const;

  /// False when nobody asks for a gradient and all values are known without the last pass.
  bool wants_last_pass() const { return wants_last_pass_; }
  /// Gradients with respect to the student's products, in place of the logits. `scratch` holds
  /// tile.columns.
  void gradient(const Tile<T>& student, const Tile<T>& teacher, std::int64_t value_slot,
                T* scratch) {
    gradient(student, teacher, value_slot, scratch, {});
  }
  /// The same in bf16 into `out`.
  void gradient(const Tile<T>& student, const Tile<T>& teacher, std::int64_t value_slot, T* scratch,
                const Bf16Rows& out);

  /// Of each term over all chunks, without weight and T^2.
  std::vector<double> values() const;

 private:
  void hold(const Tile<T>& tile);
  void update(RunningStats<T>& stats, const Tile<T>& tile, std::int64_t slot);
  void finish_sparse_row(std::int64_t row);
  void set_z_factor(std::int64_t row, std::int64_t term);
  PairArgs<T> pair(const Tile<T>& student, const Tile<T>& teacher) const;
  std::int64_t num_terms() const { return static_cast<std::int64_t>(terms_.size()); }
  T* params(std::int64_t row, std::int64_t term) {
    return row_params_.data() + (row * num_terms() + term) * kRowParams;
  }
  double weight(std::int64_t row) const {
    return row_weights_.empty() ? 1.0 : static_cast<double>(row_weights_[first_row_ + row]);
  }

  const DivergenceProblem& problem_;
  const DivergenceKernels<T>& kernels_;
  std::int64_t capacity_;
  std::int64_t stat_slots_;
  std::int64_t value_slots_;
  std::vector<TermArgs<T>> terms_;
  std::vector<T> inverse_temperatures_;
  bool wants_thresholds_ = false;
  bool reduces_ = false;
  bool wants_last_pass_ = false;
  bool wants_whole_ = true;  ///< statistics of the student over all ids
  bool wants_apart_ = false;
  RunningStats<T> whole_, apart_, teacher_;
  std::vector<T> row_weights_;         ///< [n] or empty
  std::vector<T> row_params_;          ///< [capacity, terms, kRowParams]
  std::vector<double> reductions_;     ///< [slots, capacity, terms, kMostReductions]
  std::vector<T> held_logits_;         ///< [capacity, K]
  std::vector<T> held_slopes_;         ///< [capacity, terms, K]
  std::vector<double> sparse_values_;  ///< [capacity, terms]
  std::vector<double> finished_;       ///< [terms], known before the last pass
  std::vector<double> values_;         ///< [value slots, terms + gap], from the last pass
  std::int64_t first_row_ = 0;
  std::int64_t rows_ = 0;
};

/// Work is split into as many slots as there are threads, whoever runs them: the order of every
/// sum depends on nothing else.
std::int64_t num_slots();

/// Logits below which starting another thread costs more than it saves.
inline constexpr std::int64_t kLogitsForThread = 1 << 14;

}  // namespace distill::ops::cpu
