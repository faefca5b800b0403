#pragma once

#include "ops/cpu/scalar_types.h"

/// Four floats as a GNU vector: SSE2 on every x86-64, NEON on AArch64, plain code elsewhere.
namespace distill::ops::cpu::portable {

typedef float Float4 __attribute__((vector_size(16)));
typedef std::int32_t Int4 __attribute__((vector_size(16)));
typedef std::uint32_t Uint4 __attribute__((vector_size(16)));

struct Mask {
  Int4 m;
};

struct Vec {
  static constexpr std::int64_t kWidth = 4;
  using Scalar = float;
  Float4 v;

  DISTILL_INLINE static Vec broadcast(float x) { return {Float4{x, x, x, x}}; }
  DISTILL_INLINE static Vec load(const float* p, AllLanes) {
    Vec r;
    __builtin_memcpy(&r.v, p, sizeof r.v);
    return r;
  }
  DISTILL_INLINE static Vec load(const float* p, std::int64_t n) {
    Vec r = broadcast(0.0F);
    for (std::int64_t i = 0; i < n; ++i) r.v[i] = p[i];
    return r;
  }
  DISTILL_INLINE static Vec load(const Bf16* p, AllLanes) {
    const Uint4 bits{p[0].bits, p[1].bits, p[2].bits, p[3].bits};
    return {reinterpret_cast<Float4>(bits << 16)};
  }
  DISTILL_INLINE static Vec load(const Bf16* p, std::int64_t n) {
    Bf16 buffer[kWidth] = {};
    for (std::int64_t i = 0; i < n; ++i) buffer[i] = p[i];
    return load(buffer, AllLanes{});
  }
  /// Round to nearest even; a NaN stays a (quiet) NaN.
  DISTILL_INLINE Uint4 narrow() const {
    const Uint4 bits = reinterpret_cast<Uint4>(v);
    const Uint4 rounded = bits + ((bits >> 16) & 1U) + 0x7fffU;
    const Uint4 nan = reinterpret_cast<Uint4>(v != v);
    return ((nan & (bits | 0x400000U)) | (~nan & rounded)) >> 16;
  }
  DISTILL_INLINE void store(float* p, AllLanes) const { __builtin_memcpy(p, &v, sizeof v); }
  DISTILL_INLINE void store(float* p, std::int64_t n) const {
    for (std::int64_t i = 0; i < n; ++i) p[i] = v[i];
  }
  DISTILL_INLINE void store(Bf16* p, AllLanes) const { store(p, kWidth); }
  DISTILL_INLINE void store(Bf16* p, std::int64_t n) const {
    const Uint4 bits = narrow();
    for (std::int64_t i = 0; i < n; ++i) p[i].bits = static_cast<std::uint16_t>(bits[i]);
  }
};

DISTILL_INLINE Vec operator+(Vec a, Vec b) {
  return {a.v + b.v};
}
DISTILL_INLINE Vec operator-(Vec a, Vec b) {
  return {a.v - b.v};
}
DISTILL_INLINE Vec operator*(Vec a, Vec b) {
  return {a.v * b.v};
}
DISTILL_INLINE Vec operator/(Vec a, Vec b) {
  return {a.v / b.v};
}
DISTILL_INLINE Vec operator-(Vec a) {
  return {-a.v};
}
/// a * b + c
DISTILL_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {a.v * b.v + c.v};
}
DISTILL_INLINE Vec sqrt(Vec a) {
  return {Float4{__builtin_sqrtf(a.v[0]), __builtin_sqrtf(a.v[1]), __builtin_sqrtf(a.v[2]),
                 __builtin_sqrtf(a.v[3])}};
}

DISTILL_INLINE Mask operator<(Vec a, Vec b) {
  return {a.v < b.v};
}
DISTILL_INLINE Mask operator==(Vec a, Vec b) {
  return {a.v == b.v};
}
/// yes where the mask is set, else no.
DISTILL_INLINE Vec select(Mask mask, Vec yes, Vec no) {
  const Int4 bits =
      (mask.m & reinterpret_cast<Int4>(yes.v)) | (~mask.m & reinterpret_cast<Int4>(no.v));
  return {reinterpret_cast<Float4>(bits)};
}
/// max and min give b where either is NaN.
DISTILL_INLINE Vec max(Vec a, Vec b) {
  return select(b < a, a, b);
}
DISTILL_INLINE Vec min(Vec a, Vec b) {
  return select(a < b, a, b);
}
/// For |a| < 2^22: adding 1.5 * 2^23 leaves no bits for a fraction.
DISTILL_INLINE Vec round(Vec a) {
  const Vec shift = Vec::broadcast(12582912.0F);
  return (a + shift) - shift;
}

/// 2^n for whole n in [-126, 127].
DISTILL_INLINE Vec power_of_two(Int4 n) {
  return {reinterpret_cast<Float4>((n + 127) << 23)};
}
/// a * 2^n for whole n in [-252, 254]: in two factors, so that underflow is gradual.
DISTILL_INLINE Vec scale_by_power_of_two(Vec a, Vec n) {
  // A NaN has no whole part: take 0, the product is NaN through `a`.
  const Vec whole_or_zero = select(n == n, n, Vec::broadcast(0.0F));
  const Int4 whole = __builtin_convertvector(whole_or_zero.v, Int4);
  const Int4 half = whole >> 1;
  return a * power_of_two(half) * power_of_two(whole - half);
}
/// a = mantissa * 2^exponent with the mantissa in [1, 2); a > 0 and finite.
DISTILL_INLINE Vec split_exponent(Vec a, Vec& exponent) {
  const Mask tiny = a < Vec::broadcast(1.17549435e-38F);
  const Vec normal = select(tiny, a * Vec::broadcast(8388608.0F), a);
  const Int4 bits = reinterpret_cast<Int4>(normal.v);
  exponent = Vec{__builtin_convertvector(bits >> 23, Float4)} -
             select(tiny, Vec::broadcast(127.0F + 23.0F), Vec::broadcast(127.0F));
  return {reinterpret_cast<Float4>((bits & 0x7fffff) | 0x3f800000)};
}

/// a rounded to nearest even in the upper half of each lane, the lower half is left over; quiet
/// NaNs stay as they are.
DISTILL_INLINE Vec rounded_to_bf16(Vec a) {
  const Uint4 bits = reinterpret_cast<Uint4>(a.v);
  const Uint4 number = reinterpret_cast<Uint4>(a.v == a.v);
  return {reinterpret_cast<Float4>(bits + (number & (((bits >> 16) & 1U) + 0x7fffU)))};
}
/// p[i] = the upper half of lane i.
DISTILL_INLINE void store_high(Bf16* p, Vec a) {
  const Uint4 bits = reinterpret_cast<Uint4>(a.v) >> 16;
  for (int i = 0; i < 4; ++i) p[i].bits = static_cast<std::uint16_t>(bits[i]);
}
/// p[2 i], p[2 i + 1] = the upper halves of lane i of a and b.
DISTILL_INLINE void store_high_pairs(Bf16* p, Vec a, Vec b) {
  const Uint4 low = reinterpret_cast<Uint4>(a.v) >> 16;
  const Uint4 high = reinterpret_cast<Uint4>(b.v) & 0xffff0000U;
  const Uint4 pairs = low | high;
  __builtin_memcpy(p, &pairs, sizeof pairs);
}

DISTILL_INLINE float sum(Vec a) {
  return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
}
DISTILL_INLINE float reduce_max(Vec a) {
  const float low = a.v[0] > a.v[1] ? a.v[0] : a.v[1];
  const float high = a.v[2] > a.v[3] ? a.v[2] : a.v[3];
  return low > high ? low : high;
}

/// Sum of squares in double.
struct SquareSum {
  double lanes[Vec::kWidth] = {};
  DISTILL_INLINE void add(Vec a) {
    for (std::int64_t i = 0; i < Vec::kWidth; ++i) {
      const double x = static_cast<double>(a.v[i]);
      lanes[i] += x * x;
    }
  }
  DISTILL_INLINE double total() const { return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]); }
};

/// Sixteen floats, picked by halves of bytes.
struct NibbleTable {
  const float* values;
  DISTILL_INLINE explicit NibbleTable(const float* table) : values(table) {}
  /// out[2 i] by the upper half of bytes[i], out[2 i + 1] by the lower.
  DISTILL_INLINE void spread(const std::uint8_t* bytes, float* out, std::int64_t count) const {
    for (std::int64_t i = 0; i < count; ++i) {
      out[2 * i] = values[bytes[i] >> 4];
      out[2 * i + 1] = values[bytes[i] & 15U];
    }
  }
};

}  // namespace distill::ops::cpu::portable
