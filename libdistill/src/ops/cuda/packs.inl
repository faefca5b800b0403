// Several neighbouring elements that a thread loads and stores at once.

#pragma once

#include <cmath>

#include "ops/cuda/device_code.h"

namespace distill::ops::cuda {

using cpu::Accumulator;
using cpu::Bf16;

/// Elements of a load of 16 bytes.
template <class T>
inline constexpr int kFullPack = 16 / static_cast<int>(sizeof(T));

/// Whether 16 bytes can be loaded from a pointer and from whole numbers of `stride` elements on.
template <class T>
bool is_packed(const T* pointer, std::int64_t stride = 0) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0 && stride % kFullPack<T> == 0;
}

/// What is computed with: fp32, or fp64 for fp64.
template <class T, int kCount>
struct Numbers {
  Accumulator<T> v[kCount];
};

template <class T>
DISTILL_INLINE Accumulator<T> to_number(T x) {
  return x;
}
template <>
DISTILL_INLINE float to_number<Bf16>(Bf16 x) {
  return cpu::scalar::from_bf16(x);
}
template <class T>
DISTILL_INLINE T from_number(Accumulator<T> x) {
  return x;
}
template <>
DISTILL_INLINE Bf16 from_number<Bf16>(float x) {
  return cpu::scalar::to_bf16(x);
}

DISTILL_INLINE float square_root(float x) {
  return ::sqrtf(x);
}
DISTILL_INLINE double square_root(double x) {
  return ::sqrt(x);
}
DISTILL_INLINE float exponential(float x) {
  return ::expf(x);
}
DISTILL_INLINE double exponential(double x) {
  return ::exp(x);
}

/// As it lies in memory: one load, or two for a pack of numbers that belongs to narrower elements.
template <class T, int kCount>
struct alignas(sizeof(T) * kCount < 16 ? sizeof(T) * kCount : 16) Stored {
  T items[kCount];
};

template <int kCount, class T>
DISTILL_INLINE Numbers<T, kCount> load(const T* from) {
  const auto stored = *reinterpret_cast<const Stored<T, kCount>*>(from);
  Numbers<T, kCount> x;
  for (int i = 0; i < kCount; ++i) x.v[i] = to_number(stored.items[i]);
  return x;
}

template <class T, int kCount>
DISTILL_INLINE void store(T* to, const Numbers<T, kCount>& x) {
  Stored<T, kCount> stored;
  for (int i = 0; i < kCount; ++i) stored.items[i] = from_number<T>(x.v[i]);
  *reinterpret_cast<Stored<T, kCount>*>(to) = stored;
}

/// Calls body(i) with the first element of each of the thread's packs of [0, count), a multiple of
/// kCount. A thread gets the same packs each time.
template <int kCount, class Team, class Body>
DISTILL_BLOCK void for_packs(const Team& team, std::int64_t count, Body body) {
  for (std::int64_t i = team.thread() * kCount; i < count; i += team.size() * kCount) body(i);
}

}  // namespace distill::ops::cuda
