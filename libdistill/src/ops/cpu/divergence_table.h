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

/// First pass. Transforms the block in place, writes kNoLogit to the columns behind `valid_columns`
/// and updates maximum and sums of exp((x - maximum) / temperature).
template <class T>
struct StatsArgs {
  LogitBlock<T> block;
  std::int64_t valid_columns = 0;
  Transform<T> transform;
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

enum class TermKind { kForwardKl, kCrossEntropy };

template <class T>
struct TermArgs {
  TermKind kind = TermKind::kForwardKl;
  std::int64_t temperature = 0;  ///< index
  T inverse_temperature = 1;
  T coefficient = 1;  ///< the gradient with respect to log p's logit is multiplied by it
};

/// Second pass. Adds each term's value to `values` and forms the gradient with respect to the
/// logits as the matrix product gave them (before the transform).
template <class T>
struct GradientArgs {
  LogitBlock<T> student;  ///< overwritten by the gradient when `gradient` is null
  LogitBlock<T> teacher;  ///< data null: no term needs it
  RowStats<T> student_stats;
  RowStats<T> teacher_stats;
  std::int64_t num_temperatures = 0;
  Transform<T> transform;  ///< the student's
  const TermArgs<T>* terms = nullptr;
  std::int64_t num_terms = 0;
  const std::int64_t* labels = nullptr;  ///< [rows] or null
  std::int64_t first_column = 0;         ///< id of the block's first column
  Bf16* gradient = nullptr;              ///< [rows, columns] dense, or null
  T* scratch = nullptr;                  ///< [columns]
  double* values = nullptr;              ///< [num_terms]
};

template <class T>
struct DivergenceKernels {
  void (*stats)(const StatsArgs<T>&, std::int64_t rows);
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
