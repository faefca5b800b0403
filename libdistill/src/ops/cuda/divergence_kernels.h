#pragma once

#include <cstdint>

#include "ops/divergence_reduced.h"

/// What linear_divergence asks of a device that runs many threads for each row: passes over a chunk
/// of rows of whole logits. Raw pointers into the device's memory only. T is float or double.
namespace distill::ops::cuda {

/// Terms and temperatures travel as arguments of a kernel, which has room for so many.
inline constexpr std::int64_t kMostTerms = 16;

template <class T>
struct Term {
  cpu::TermArgs<T> args;
  cpu::ReductionRule rule;  ///< `kind` is also what acts on the classes of a sparse teacher
  double inverse_temperature = 1;
  double z_loss = 0;
};

template <class T>
struct Terms {
  Term<T> items[kMostTerms];
  std::int64_t count = 0;
  T inverse_temperatures[kMostTerms];
  std::int64_t num_temperatures = 0;
};

/// One model's logits over the ids both models have, and what the first pass finds about them.
template <class T>
struct ModelRows {
  T* logits = nullptr;  ///< [rows, stride]; null: there is no such model
  cpu::Transform<T> transform;
  T* maxima = nullptr;    ///< [rows]
  T* log_sums = nullptr;  ///< [rows, temperatures]
};

/// A sparse teacher's ids and, of each row, what the passes find at them.
template <class T>
struct HeldRows {
  const std::int64_t* ids = nullptr;  ///< [rows, count] ascending; null: a dense teacher or none
  std::int64_t count = 0;
  const double* log_probs = nullptr;  ///< [rows, count]
  const double* weights = nullptr;    ///< [rows, count] of samples; null: ids are the likeliest
  double temperature = 1;             ///< the log-probabilities' own
  T* logits = nullptr;                ///< [rows, count], the student's
  T* slopes = nullptr;                ///< [rows, terms, count]
  T* maxima = nullptr;                ///< [rows], statistics of the student without these ids
  T* log_sums = nullptr;              ///< [rows, temperatures]
};

template <class T>
struct Chunk {
  std::int64_t rows = 0;
  std::int64_t vocabulary = 0;
  std::int64_t stride = 0;
  ModelRows<T> student;
  ModelRows<T> teacher;
  HeldRows<T> held;
  const std::int64_t* labels = nullptr;  ///< [rows] or null
  const double* row_weights = nullptr;   ///< [rows] or null: all 1
  T* params = nullptr;                   ///< [rows, terms, kRowParams], zeros before the first pass
  double* values = nullptr;              ///< [rows, terms], without the row's weight; likewise
};

/// Where the last pass leaves the gradient with respect to the student's products.
template <class T>
struct GradientOut {
  T* same = nullptr;          ///< [rows, stride], may be the student's logits
  cpu::Bf16* bf16 = nullptr;  ///< [rows, stride]; both null: values only
};

/// Each starts its work on `stream` and gives null, or says why it could not.
template <class T>
struct Kernels {
  using Error = const char*;
  /// First pass: applies the transform in place, finds maxima and log-sums.
  Error (*student)(const Chunk<T>&, const Terms<T>&, void* stream);
  Error (*teacher)(const Chunk<T>&, const Terms<T>&, void* stream);
  /// After it: values and slopes of the terms that compare with a sparse teacher.
  Error (*held)(const Chunk<T>&, const Terms<T>&, void* stream);
  /// After it: where the teacher's head begins, for adaptive terms.
  Error (*thresholds)(const Chunk<T>&, const Terms<T>&, void* stream);
  /// After those: values and parameters of kinds whose gradient needs sums over the row.
  Error (*reduce)(const Chunk<T>&, const Terms<T>&, void* stream);
  /// Last pass: values of the other kinds and the gradient of all.
  Error (*gradient)(const Chunk<T>&, const Terms<T>&, const GradientOut<T>&, void* stream);
};

struct KernelTable {
  Kernels<float> f32;
  Kernels<double> f64;
};

template <class T>
const Kernels<T>& typed_kernels(const KernelTable& table);
template <>
inline const Kernels<float>& typed_kernels<float>(const KernelTable& table) {
  return table.f32;
}
template <>
inline const Kernels<double>& typed_kernels<double>(const KernelTable& table) {
  return table.f64;
}

/// For NVIDIA's GPUs; in builds with CUDA only.
const KernelTable& divergence_kernels();

}  // namespace distill::ops::cuda
