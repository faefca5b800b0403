#pragma once

#include <immintrin.h>

#include "ops/cpu/scalar_types.h"

/// Eight floats. Include only in files compiled for AVX2 and FMA.
namespace distill::ops::cpu::avx2 {

struct Mask {
  __m256 m;
};

struct Vec {
  static constexpr std::int64_t kWidth = 8;
  using Scalar = float;
  __m256 v;

  DISTILL_INLINE static __m256i lanes(std::int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  DISTILL_INLINE static Vec broadcast(float x) { return {_mm256_set1_ps(x)}; }
  DISTILL_INLINE static Vec load(const float* p, AllLanes) { return {_mm256_loadu_ps(p)}; }
  DISTILL_INLINE static Vec load(const float* p, std::int64_t n) {
    return {_mm256_maskload_ps(p, lanes(n))};
  }
  DISTILL_INLINE static Vec widen(__m128i bf16) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16))};
  }
  DISTILL_INLINE static Vec load(const Bf16* p, AllLanes) {
    return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  DISTILL_INLINE static Vec load(const Bf16* p, std::int64_t n) {
    Bf16 buffer[kWidth] = {};
    for (std::int64_t i = 0; i < n; ++i) buffer[i] = p[i];
    return load(buffer, AllLanes{});
  }
  /// Round to nearest even; a NaN stays a (quiet) NaN.
  DISTILL_INLINE __m128i narrow() const {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  }
  DISTILL_INLINE void store(float* p, AllLanes) const { _mm256_storeu_ps(p, v); }
  DISTILL_INLINE void store(float* p, std::int64_t n) const { _mm256_maskstore_ps(p, lanes(n), v); }
  DISTILL_INLINE void store(Bf16* p, AllLanes) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow());
  }
  DISTILL_INLINE void store(Bf16* p, std::int64_t n) const {
    Bf16 buffer[kWidth];
    store(buffer, AllLanes{});
    for (std::int64_t i = 0; i < n; ++i) p[i] = buffer[i];
  }
};

DISTILL_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.v, b.v)};
}
DISTILL_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
DISTILL_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
DISTILL_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.v, b.v)};
}
DISTILL_INLINE Vec operator-(Vec a) {
  return {_mm256_xor_ps(a.v, _mm256_set1_ps(-0.0F))};
}
/// a * b + c
DISTILL_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
DISTILL_INLINE Vec sqrt(Vec a) {
  return {_mm256_sqrt_ps(a.v)};
}
/// max and min give b where either is NaN.
DISTILL_INLINE Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.v, b.v)};
}
DISTILL_INLINE Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.v, b.v)};
}
DISTILL_INLINE Vec round(Vec a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

DISTILL_INLINE Mask operator<(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)};
}
DISTILL_INLINE Mask operator==(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)};
}
/// yes where the mask is set, else no.
DISTILL_INLINE Vec select(Mask mask, Vec yes, Vec no) {
  return {_mm256_blendv_ps(no.v, yes.v, mask.m)};
}

/// 2^n for whole n in [-126, 127].
DISTILL_INLINE __m256 power_of_two(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
/// a * 2^n for whole n in [-252, 254]: in two factors, so that underflow is gradual.
DISTILL_INLINE Vec scale_by_power_of_two(Vec a, Vec n) {
  const __m256i whole = _mm256_cvtps_epi32(n.v);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256 first = _mm256_mul_ps(a.v, power_of_two(half));
  return {_mm256_mul_ps(first, power_of_two(_mm256_sub_epi32(whole, half)))};
}
/// a = mantissa * 2^exponent with the mantissa in [1, 2); a > 0 and finite.
DISTILL_INLINE Vec split_exponent(Vec a, Vec& exponent) {
  const Mask tiny = a < Vec::broadcast(1.17549435e-38F);
  const Vec normal = select(tiny, a * Vec::broadcast(8388608.0F), a);
  const __m256i bits = _mm256_castps_si256(normal.v);
  const __m256i biased = _mm256_srli_epi32(bits, 23);
  exponent = Vec{_mm256_cvtepi32_ps(biased)} -
             select(tiny, Vec::broadcast(127.0F + 23.0F), Vec::broadcast(127.0F));
  const __m256i mantissa = _mm256_or_si256(_mm256_and_si256(bits, _mm256_set1_epi32(0x7fffff)),
                                           _mm256_set1_epi32(0x3f800000));
  return {_mm256_castsi256_ps(mantissa)};
}

/// a rounded to nearest even in the upper half of each lane, the lower half is left over; quiet
/// NaNs stay as they are.
DISTILL_INLINE Vec rounded_to_bf16(Vec a) {
  const __m256i bits = _mm256_castps_si256(a.v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i step = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
  const __m256i number = _mm256_castps_si256(_mm256_cmp_ps(a.v, a.v, _CMP_ORD_Q));
  return {_mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_and_si256(step, number)))};
}
/// p[i] = the upper half of lane i.
DISTILL_INLINE void store_high(Bf16* p, Vec a) {
  const __m256i high = _mm256_srli_epi32(_mm256_castps_si256(a.v), 16);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(p),
      _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)));
}
/// p[2 i], p[2 i + 1] = the upper halves of lane i of a and b.
DISTILL_INLINE void store_high_pairs(Bf16* p, Vec a, Vec b) {
  const __m256i low = _mm256_srli_epi32(_mm256_castps_si256(a.v), 16);
  const __m256i high = _mm256_castps_si256(b.v);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_blend_epi16(low, high, 0xaa));
}

DISTILL_INLINE float sum(Vec a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
DISTILL_INLINE float reduce_max(Vec a) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

/// Sum of squares in double.
struct SquareSum {
  __m256d low = _mm256_setzero_pd();
  __m256d high = _mm256_setzero_pd();
  DISTILL_INLINE void add(Vec a) {
    const __m256d x = _mm256_cvtps_pd(_mm256_castps256_ps128(a.v));
    const __m256d y = _mm256_cvtps_pd(_mm256_extractf128_ps(a.v, 1));
    low = _mm256_fmadd_pd(x, x, low);
    high = _mm256_fmadd_pd(y, y, high);
  }
  DISTILL_INLINE double total() const {
    const __m256d both = _mm256_add_pd(low, high);
    const __m128d x = _mm_add_pd(_mm256_castpd256_pd128(both), _mm256_extractf128_pd(both, 1));
    return _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)));
  }
};

/// Sixteen floats, picked by halves of bytes.
struct NibbleTable {
  const float* values;
  __m256 low, high;
  DISTILL_INLINE explicit NibbleTable(const float* table)
      : values(table), low(_mm256_loadu_ps(table)), high(_mm256_loadu_ps(table + 8)) {}
  DISTILL_INLINE __m256 pick(__m256i places) const {
    const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(places, 28));  // bit 3 as the sign
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, places),
                            _mm256_permutevar8x32_ps(high, places), upper);
  }
  /// out[2 i] by the upper half of bytes[i], out[2 i + 1] by the lower.
  DISTILL_INLINE void spread(const std::uint8_t* bytes, float* out, std::int64_t count) const {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
      const __m128i both = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + i));
      const __m128i half = _mm_set1_epi8(15);
      const __m128i upper = _mm_and_si128(_mm_srli_epi16(both, 4), half);
      const __m128i places = _mm_unpacklo_epi8(upper, _mm_and_si128(both, half));
      _mm256_storeu_ps(out + 2 * i, pick(_mm256_cvtepu8_epi32(places)));
      _mm256_storeu_ps(out + 2 * i + 8, pick(_mm256_cvtepu8_epi32(_mm_srli_si128(places, 8))));
    }
    for (; i < count; ++i) {
      out[2 * i] = values[bytes[i] >> 4];
      out[2 * i + 1] = values[bytes[i] & 15U];
    }
  }
};

}  // namespace distill::ops::cpu::avx2
