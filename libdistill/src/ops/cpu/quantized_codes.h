#pragma once

#include <cstdint>

#include "ops/cpu/scalar_types.h"

/// What weights in few bits ask of an instruction set (distill/ops/quantized_matrix.h). Every
/// instruction set gives the same bits.
namespace distill::ops::cpu {

/// Elements that share a scale in NF4, and scales that share a step.
inline constexpr std::int64_t kNf4Block = 64;
inline constexpr std::int64_t kNf4Steps = 256;

/// NF4: quantiles of a normal distribution with 0 among them, the largest 1 (Dettmers et al. 2023,
/// appendix E). Part of the format, do not change.
inline constexpr float kNf4Values[16] = {-1.0F,        -0.69619280F, -0.52507305F, -0.39491749F,
                                         -0.28444138F, -0.18477343F, -0.09105004F, 0.0F,
                                         0.07958030F,  0.16093020F,  0.24611230F,  0.33791524F,
                                         0.44070983F,  0.56261700F,  0.72295684F,  1.0F};

/// A matrix by its elements in rows, counted through: element i has the upper half of byte i / 2
/// when i is even, else the lower one.
struct Nf4Codes {
  const std::uint8_t* codes = nullptr;
  const std::int8_t* scales = nullptr;  ///< of each block, in steps from `offset`
  const float* steps = nullptr;         ///< of each kNf4Steps blocks
  float offset = 0;
};

template <class T>
struct DequantizeKernels {
  /// out[i] = codes[i] * scale, rounded once.
  void (*int8)(const std::int8_t* codes, float scale, T* out, std::int64_t n);
  void (*fp8)(const std::uint8_t* codes, float scale, T* out, std::int64_t n);
  /// Elements [first, first + n).
  void (*nf4)(const Nf4Codes& codes, std::int64_t first, T* out, std::int64_t n);
};

/// x[i] * inverse to the nearest code; all must be within what codes reach.
struct QuantizeKernels {
  /// Bits of the largest |x[i]|; those of Inf or more when any is not finite.
  std::uint32_t (*largest)(const float* x, std::int64_t n);
  void (*int8)(const float* x, float inverse, std::int8_t* codes, std::int64_t n);
  void (*fp8)(const float* x, float inverse, std::uint8_t* codes, std::int64_t n);
  /// `codes` [n / 2, rounded up], two in a byte; at most kNf4Block elements.
  void (*nf4)(const float* x, float inverse, std::uint8_t* codes, std::int64_t n);
};

}  // namespace distill::ops::cpu
