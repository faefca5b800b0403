#pragma once

#include <cstdint>

/// For the kernel files, which are compiled once for each instruction set. Nothing they include may
/// define an ordinary inline function: the linker keeps one copy of it, perhaps the one with
/// instructions this machine lacks.
#if defined(__CUDACC__)
#define DISTILL_INLINE __host__ __device__ __forceinline__
#else
#define DISTILL_INLINE __attribute__((always_inline)) inline
#endif
#define DISTILL_INLINE_LAMBDA __attribute__((always_inline))

namespace distill::ops::cpu {

/// Same bits as c10::BFloat16.
struct Bf16 {
  std::uint16_t bits;
};

/// What sums and statistics are kept in: float for fp32 and bf16, double for fp64.
template <class T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::type;

/// Tag: all lanes of a vector are used.
struct AllLanes {};

}  // namespace distill::ops::cpu
