#pragma once

#include <cstdint>

#include "ops/cpu/kernel_table.h"

/// What the model's operators ask of a device that runs many threads. Raw pointers into the
/// device's memory only. Each kernel starts its work on `stream` and gives null, or says why it
/// could not; every sum has a fixed order, and nothing is added atomically.
namespace distill::ops::cuda {

/// Rows whose share of a sum over all rows is formed by one team of threads.
struct RowParts {
  std::int64_t rows = 0;
  std::int64_t rows_per_part = 1;
  DISTILL_INLINE std::int64_t count() const { return (rows + rows_per_part - 1) / rows_per_part; }
};

template <class T>
struct EmbeddingGradArgs {
  const T* grad = nullptr;                   ///< [count, width]
  const std::int64_t* sorted_ids = nullptr;  ///< [count], rising
  const std::int64_t* rows = nullptr;        ///< [count], which row of `grad` each belongs to
  T* out = nullptr;                          ///< [ids, width], zeros
  std::int64_t count = 0;
  std::int64_t width = 0;
};

/// T: float, Bf16 or double.
template <class T>
struct NormKernels {
  const char* (*forward)(const cpu::RmsNormArgs<T>&, std::int64_t rows, void* stream);
  /// grad_weight is [parts.count(), width]: each part's share is written, not added.
  const char* (*backward)(const cpu::RmsNormGradArgs<T>&, const RowParts& parts, void* stream);
};
template <class T>
struct RotaryKernels {
  const char* (*turn)(const cpu::RotaryArgs<T>&, std::int64_t rows, void* stream);
};
template <class T>
struct SwigluKernels {
  const char* (*forward)(const cpu::SwigluArgs<T>&, std::int64_t rows, void* stream);
  const char* (*backward)(const cpu::SwigluArgs<T>&, std::int64_t rows, void* stream);
};
template <class T>
struct EmbeddingKernels {
  const char* (*backward)(const EmbeddingGradArgs<T>&, void* stream);
};

/// One operator's kernels for each type.
template <template <class> class Kernels>
struct ByType {
  Kernels<float> f32;
  Kernels<cpu::Bf16> bf16;
  Kernels<double> f64;

  template <class T>
  const Kernels<T>& of() const;
};
template <template <class> class Kernels>
template <class T>
const Kernels<T>& ByType<Kernels>::of() const {
  if constexpr (sizeof(T) == sizeof(double)) {
    return f64;
  } else if constexpr (sizeof(T) == sizeof(float)) {
    return f32;
  } else {
    return bf16;
  }
}

/// Elements of AdamW that a team of threads works on.
inline constexpr std::int64_t kStretch = std::int64_t{1} << 13;
DISTILL_INLINE std::int64_t num_stretches(std::int64_t count) {
  return (count + kStretch - 1) / kStretch;
}

/// G: of the gradient, float or Bf16.
template <class G>
struct AdamWKernels {
  const char* (*step)(const cpu::AdamWArgs<G>&, std::int64_t count, void* stream);
  /// parts [num_stretches(count)]: sums of squares of stretches.
  const char* (*squares)(const G* x, std::int64_t count, double* parts, void* stream);
};
struct AdamWTable {
  AdamWKernels<float> f32;
  AdamWKernels<cpu::Bf16> bf16;
};

struct ModelKernels {
  const ByType<NormKernels>& norm;
  const ByType<RotaryKernels>& rotary;
  const ByType<SwigluKernels>& swiglu;
  const ByType<EmbeddingKernels>& embedding;
  const AdamWTable& adamw;
};

/// For NVIDIA's GPUs; in builds with CUDA only. One file of kernels each.
const ByType<NormKernels>& norm_kernels();
const ByType<RotaryKernels>& rotary_kernels();
const ByType<SwigluKernels>& swiglu_kernels();
const ByType<EmbeddingKernels>& embedding_kernels();
const AdamWTable& adamw_kernels();

}  // namespace distill::ops::cuda
