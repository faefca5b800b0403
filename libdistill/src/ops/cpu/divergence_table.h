#pragma once

#include "ops/cpu/isa.h"
#include "ops/cpu/scalar_types.h"

/// What linear_divergence asks of an instruction set: element-wise passes over blocks of logits,
/// and the layouts its matrix products read. T is float or double.
namespace distill::ops::cpu {

/// Columns of a block are padded to a multiple of it, so that no vector is partial.
inline constexpr std::int64_t kColumnStep = 16;
/// Running statistics are kept for each lane of a vector and merged at the end.
inline constexpr std::int64_t kStatLanes = 16;
/// Stands in for "no logit": its probability is 0, and differences of it are still finite.
inline constexpr float kNoLogit = -1e30F;
/// log 2^-53, the least that is left to the ids that a teacher does not list: rounded
/// log-probabilities may sum to 1 or more, and against nothing a student's least trust would weigh
/// 1e30.
inline constexpr double kLeastLogRest = -36.7368005696771;

/// A block of logits: `rows` of `columns` (padded) with `stride` between rows.
template <class T>
struct LogitBlock {
  T* data = nullptr;
  std::int64_t stride = 0;
  std::int64_t columns = 0;
};

/// The model's own transform: c tanh(scale x / c) with c = softcap, or scale x when it is 0.
template <class T>
struct Transform {
  T scale = 1;
  T softcap = 0;
  DISTILL_INLINE bool identity() const { return scale == T(1) && softcap == T(0); }
};

/// Applies the model's transform in place and writes kNoLogit to the columns behind
/// `valid_columns`.
template <class T>
struct PrepareArgs {
  LogitBlock<T> block;
  std::int64_t valid_columns = 0;
  Transform<T> transform;
};

/// Updates maxima and sums of exp((x - maximum) / temperature) by a block.
template <class T>
struct StatsArgs {
  LogitBlock<T> block;
  const T* inverse_temperatures = nullptr;
  std::int64_t num_temperatures = 0;
  T* maxima = nullptr;  ///< [rows, kStatLanes]
  T* sums = nullptr;    ///< [rows, num_temperatures, kStatLanes]
};

/// Of one model: log p(v) = (x[v] - maximum) / temperature - log_sum.
template <class T>
struct RowStats {
  const T* maxima = nullptr;    ///< [rows]
  const T* log_sums = nullptr;  ///< [rows, num_temperatures]
};

enum class TermKind {
  kForwardKl,
  kReverseKl,
  kJsd,
  kSkewForwardKl,
  kSkewReverseKl,
  kBlendedKl,
  kTotalVariation,
  kCrossEntropy,
  kSmoothedCrossEntropy,
  kSharedSlope,
};

/// Sums over a row that a kind may ask for, and numbers that its gradient then reads.
inline constexpr std::int64_t kMostReductions = 4;
inline constexpr std::int64_t kRowParams = 3;

template <class T>
struct TermArgs {
  TermKind kind = TermKind::kForwardKl;
  std::int64_t temperature = 0;  ///< index
  T inverse_temperature = 1;
  T coefficient = 1;    ///< the gradient with respect to logit / temperature is multiplied by it
  T teacher_share = 0;  ///< of a mixture
  T smoothing = 0;      ///< label smoothing / ids
  T label_weight = 1;   ///< 1 - label smoothing
  bool apart_from_held = false;  ///< statistics are `apart_stats`: held ids do not count
};

/// Ids at which a sparse teacher is known, in order, for each row: the slope of the shared part is
/// corrected there.
template <class T>
struct HeldIds {
  const std::int64_t* ids = nullptr;  ///< [rows, count]; null: a dense teacher or none
  std::int64_t count = 0;
  const T* logits = nullptr;  ///< [rows, count]
  const T* slopes = nullptr;  ///< [rows, num_terms, count], with respect to logit / temperature
};

/// What both passes over pairs of logits read.
template <class T>
struct PairArgs {
  LogitBlock<T> student;
  LogitBlock<T> teacher;  ///< data null: no term needs it
  RowStats<T> student_stats;
  RowStats<T> teacher_stats;
  RowStats<T> apart_stats;  ///< the student's without the held ids
  std::int64_t num_temperatures = 0;
  const TermArgs<T>* terms = nullptr;
  std::int64_t num_terms = 0;
  const T* row_params = nullptr;  ///< [rows, num_terms, kRowParams]
};

/// Between the passes: adds to the reductions of each row.
template <class T>
struct ReduceArgs {
  PairArgs<T> pair;
  double* sums = nullptr;  ///< [rows, num_terms, kMostReductions]
};

/// Last pass. Adds values of kinds without reductions to `values` and forms the gradient with
/// respect to the logits as the matrix product gave them (before the transform).
template <class T>
struct GradientArgs {
  PairArgs<T> pair;        ///< `student` is overwritten by the gradient when `gradient` is null
  Transform<T> transform;  ///< the student's
  HeldIds<T> held;
  const T* row_weights = nullptr;        ///< [rows] or null: all 1
  const std::int64_t* labels = nullptr;  ///< [rows] or null
  std::int64_t first_column = 0;         ///< id of the block's first column
  Bf16* gradient = nullptr;              ///< [rows, columns], or null
  std::int64_t gradient_stride = 0;      ///< between its rows
  T* scratch = nullptr;                  ///< [columns]
  double* values = nullptr;              ///< [num_terms]
};

template <class T>
struct DivergenceKernels {
  void (*prepare)(const PrepareArgs<T>&, std::int64_t rows);
  void (*stats)(const StatsArgs<T>&, std::int64_t rows);
  void (*reduce)(const ReduceArgs<T>&, std::int64_t rows);
  void (*gradient)(const GradientArgs<T>&, std::int64_t rows);
};

struct DivergenceTable {
  DivergenceKernels<float> f32;
  DivergenceKernels<double> f64;
  /// out[i] = {a[i], b[i]}; b null: zeros.
  void (*interleave)(const Bf16* a, const Bf16* b, Bf16* out, std::int64_t n);
  /// in [rows, columns] of 32-bit words -> out [columns, rows].
  void (*transpose)(const std::uint32_t* in, std::int64_t in_stride, std::uint32_t* out,
                    std::int64_t out_stride, std::int64_t rows, std::int64_t columns);
  /// in [rows, columns] -> out [columns, rows], rounded to bf16.
  void (*transpose_to_bf16)(const float* in, std::int64_t in_stride, Bf16* out,
                            std::int64_t out_stride, std::int64_t rows, std::int64_t columns);
};

/// The kernels for one of supported_isas(); for any other the portable ones.
const DivergenceTable& divergence_kernels_for(Isa isa);
/// The kernels for the best instruction set of this machine.
const DivergenceTable& divergence_kernels();

template <class T>
const DivergenceKernels<T>& typed_divergence_kernels();
template <>
inline const DivergenceKernels<float>& typed_divergence_kernels<float>() {
  return divergence_kernels().f32;
}
template <>
inline const DivergenceKernels<double>& typed_divergence_kernels<double>() {
  return divergence_kernels().f64;
}

}  // namespace distill::ops::cpu
