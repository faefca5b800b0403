#pragma once

#include <cstdint>
#include <cstring>

#include "ops/cpu/scalar_types.h"

/// Code for a GPU's threads that compiles for the host as well, where the tests run it.
#if defined(__CUDACC__)
#define DISTILL_BLOCK __device__ inline
#else
#define DISTILL_BLOCK inline
#endif

namespace distill::ops::cpu::scalar {

/// Round to nearest even; a NaN stays a (quiet) NaN.
DISTILL_INLINE Bf16 to_bf16(float x) {
  std::uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (x != x) return {static_cast<std::uint16_t>((bits | 0x400000U) >> 16)};
  return {static_cast<std::uint16_t>((bits + ((bits >> 16) & 1U) + 0x7fffU) >> 16)};
}

DISTILL_INLINE float from_bf16(Bf16 x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x.bits) << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace distill::ops::cpu::scalar
