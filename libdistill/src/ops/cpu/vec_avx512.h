#pragma once

#include <immintrin.h>

#include "ops/cpu/scalar_types.h"

/// Sixteen floats. Include only in files compiled for AVX-512 F, BW, DQ, VL.
namespace distill::ops::cpu::avx512 {

struct Mask {
  __mmask16 m;
};

struct Vec {
  static constexpr std::int64_t kWidth = 16;
  using Scalar = float;
  __m512 v;

  DISTILL_INLINE static __mmask16 lanes(std::int64_t n) {
    return static_cast<__mmask16>((1U << n) - 1U);
  }
  DISTILL_INLINE static Vec broadcast(float x) { return {_mm512_set1_ps(x)}; }
  DISTILL_INLINE static Vec load(const float* p, AllLanes) { return {_mm512_loadu_ps(p)}; }
  DISTILL_INLINE static Vec load(const float* p, std::int64_t n) {
    return {_mm512_maskz_loadu_ps(lanes(n), p)};
  }
  DISTILL_INLINE static Vec widen(__m256i bf16) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16))};
  }
  DISTILL_INLINE static Vec load(const Bf16* p, AllLanes) {
    return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  DISTILL_INLINE static Vec load(const Bf16* p, std::int64_t n) {
    return widen(_mm256_maskz_loadu_epi16(lanes(n), p));
  }
  /// Round to nearest even; a NaN stays a (quiet) NaN.
  DISTILL_INLINE __m256i narrow() const {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(
        _mm512_srli_epi32(_mm512_mask_blend_epi32(nan, rounded, quiet), 16));
  }
  DISTILL_INLINE void store(float* p, AllLanes) const { _mm512_storeu_ps(p, v); }
  DISTILL_INLINE void store(float* p, std::int64_t n) const {
    _mm512_mask_storeu_ps(p, lanes(n), v);
  }
  DISTILL_INLINE void store(Bf16* p, AllLanes) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow());
  }
  DISTILL_INLINE void store(Bf16* p, std::int64_t n) const {
    _mm256_mask_storeu_epi16(p, lanes(n), narrow());
  }
};

DISTILL_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
DISTILL_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
DISTILL_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
DISTILL_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
DISTILL_INLINE Vec operator-(Vec a) {
  return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0F))};
}
/// a * b + c
DISTILL_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
DISTILL_INLINE Vec sqrt(Vec a) {
  return {_mm512_sqrt_ps(a.v)};
}
/// max and min give b where either is NaN.
DISTILL_INLINE Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
DISTILL_INLINE Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.v, b.v)};
}
DISTILL_INLINE Vec round(Vec a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT)};
}

DISTILL_INLINE Mask operator<(Vec a, Vec b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
DISTILL_INLINE Mask operator==(Vec a, Vec b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
}
/// yes where the mask is set, else no.
DISTILL_INLINE Vec select(Mask mask, Vec yes, Vec no) {
  return {_mm512_mask_blend_ps(mask.m, no.v, yes.v)};
}

/// a * 2^n for whole n, rounded once on underflow.
DISTILL_INLINE Vec scale_by_power_of_two(Vec a, Vec n) {
  return {_mm512_scalef_ps(a.v, n.v)};
}
/// a = mantissa * 2^exponent with the mantissa in [1, 2); a > 0 and finite.
DISTILL_INLINE Vec split_exponent(Vec a, Vec& exponent) {
  exponent = {_mm512_getexp_ps(a.v)};
  return {_mm512_getmant_ps(a.v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src)};
}

/// a rounded to nearest even in the upper half of each lane, the lower half is left over; quiet
/// NaNs stay as they are.
DISTILL_INLINE Vec rounded_to_bf16(Vec a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i step = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
  const __mmask16 number = _mm512_cmp_ps_mask(a.v, a.v, _CMP_ORD_Q);
  return {_mm512_castsi512_ps(_mm512_mask_add_epi32(bits, number, bits, step))};
}
/// p[i] = the upper half of lane i.
DISTILL_INLINE void store_high(Bf16* p, Vec a) {
  const __m512i high = _mm512_srli_epi32(_mm512_castps_si512(a.v), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(high));
}
/// p[2 i], p[2 i + 1] = the upper halves of lane i of a and b.
DISTILL_INLINE void store_high_pairs(Bf16* p, Vec a, Vec b) {
  const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(a.v), 16);
  const __m512i high = _mm512_castps_si512(b.v);
  _mm512_storeu_si512(p, _mm512_mask_blend_epi16(0xaaaaaaaa, low, high));
}

DISTILL_INLINE float sum(Vec a) {
  return _mm512_reduce_add_ps(a.v);
}
DISTILL_INLINE float reduce_max(Vec a) {
  return _mm512_reduce_max_ps(a.v);
}

/// Sum of squares in double.
struct SquareSum {
  __m512d low = _mm512_setzero_pd();
  __m512d high = _mm512_setzero_pd();
  DISTILL_INLINE void add(Vec a) {
    const __m512d x = _mm512_cvtps_pd(_mm512_castps512_ps256(a.v));
    const __m512d y = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1));
    low = _mm512_fmadd_pd(x, x, low);
    high = _mm512_fmadd_pd(y, y, high);
  }
  DISTILL_INLINE double total() const { return _mm512_reduce_add_pd(_mm512_add_pd(low, high)); }
};

/// Sixteen floats, picked by halves of bytes.
struct NibbleTable {
  const float* values;
  __m512 all;
  DISTILL_INLINE explicit NibbleTable(const float* table)
      : values(table), all(_mm512_loadu_ps(table)) {}
  /// out[2 i] by the upper half of bytes[i], out[2 i + 1] by the lower.
  DISTILL_INLINE void spread(const std::uint8_t* bytes, float* out, std::int64_t count) const {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
      const __m128i both = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + i));
      const __m128i half = _mm_set1_epi8(15);
      const __m128i upper = _mm_and_si128(_mm_srli_epi16(both, 4), half);
      const __m128i places = _mm_unpacklo_epi8(upper, _mm_and_si128(both, half));
      _mm512_storeu_ps(out + 2 * i, _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(places), all));
    }
    for (; i < count; ++i) {
      out[2 * i] = values[bytes[i] >> 4];
      out[2 * i + 1] = values[bytes[i] & 15U];
    }
  }
};

}  // namespace distill::ops::cpu::avx512
