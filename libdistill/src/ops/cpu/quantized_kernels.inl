namespace distill::ops::cpu::DISTILL_ISA {

/// Elements that are spread to floats at a time.
constexpr std::int64_t kSpread = 256;

DISTILL_INLINE float from_bits(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
DISTILL_INLINE std::uint32_t to_bits(float value) {
  return __builtin_bit_cast(std::uint32_t, value);
}

/// e4m3: exponent and fraction lie as in a float, the exponent counts from another place. Without
/// the implied 1 the number begins one step higher and 1 is taken off again.
DISTILL_INLINE float fp8_value(std::uint8_t code) {
  const std::uint32_t moved = static_cast<std::uint32_t>(code & 0x7fU) << 20;
  const float normal = from_bits(moved + (120U << 23));
  const float small = from_bits(moved + (121U << 23)) - from_bits(121U << 23);
  const float value = moved < (1U << 23) ? small : normal;
  return from_bits(to_bits(value) | static_cast<std::uint32_t>(code & 0x80U) << 24);
}

/// To the nearest, halves to even; |value| is at most 448 but for rounding.
DISTILL_INLINE std::uint8_t fp8_code(float value) {
  const std::uint32_t sign = to_bits(value) >> 24 & 0x80U, bits = to_bits(value) & 0x7fffffffU;
  const std::uint32_t normal = (bits - (120U << 23) + 0x7ffffU + (bits >> 20 & 1U)) >> 20;
  // Steps of 2^-9 are those of the lowest bit here.
  const std::uint32_t small = to_bits(from_bits(bits) + from_bits(141U << 23)) - (141U << 23);
  return static_cast<std::uint8_t>(sign | (bits < (121U << 23) ? small : normal));
}

template <class T>
DISTILL_INLINE void store_scaled(const float* values, float scale, T* out, std::int64_t n) {
  const Vec factor = Vec::broadcast(scale);
  for_vectors<Vec>(n, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
    (Vec::load(values + i, lanes) * factor).store(out + i, lanes);
  });
}

template <class T, class Code, class Value>
DISTILL_INLINE void dequantize_channel(const Code* codes, float scale, T* out, std::int64_t n,
                                       Value value) {
  float values[kSpread];
  for (std::int64_t first = 0; first < n; first += kSpread) {
    const std::int64_t count = n - first < kSpread ? n - first : kSpread;
    for (std::int64_t i = 0; i < count; ++i) values[i] = value(codes[first + i]);
    store_scaled(values, scale, out + first, count);
  }
}

template <class T>
void dequantize_int8(const std::int8_t* codes, float scale, T* out, std::int64_t n) {
  dequantize_channel(codes, scale, out, n, [](std::int8_t code) DISTILL_INLINE_LAMBDA {
    return static_cast<float>(code);
  });
}

template <class T>
void dequantize_fp8(const std::uint8_t* codes, float scale, T* out, std::int64_t n) {
  dequantize_channel(codes, scale, out, n,
                     [](std::uint8_t code) DISTILL_INLINE_LAMBDA { return fp8_value(code); });
}

/// In double, where contracting to one rounding or not is the same.
DISTILL_INLINE float nf4_scale(const Nf4Codes& m, std::int64_t block) {
  const double part =
      static_cast<double>(m.scales[block]) * static_cast<double>(m.steps[block / kNf4Steps]);
  const auto scale = static_cast<float>(part + static_cast<double>(m.offset));
  return scale > 0 ? scale : 0;
}

template <class T>
void dequantize_nf4(const Nf4Codes& m, std::int64_t first, T* out, std::int64_t n) {
  const NibbleTable table(kNf4Values);
  float values[kNf4Block];
  for (std::int64_t at = first, end = first + n; at < end;) {
    const std::int64_t block = at / kNf4Block, rest = (block + 1) * kNf4Block - at;
    const std::int64_t count = rest < end - at ? rest : end - at;
    // From the even element on, whose byte the first may share.
    const std::int64_t before = at % 2, bytes = (before + count + 1) / 2;
    table.spread(m.codes + at / 2, values, bytes);
    store_scaled(values + before, nf4_scale(m, block), out + (at - first), count);
    at += count;
  }
}

inline std::uint32_t largest_bits(const float* x, std::int64_t n) {
  std::uint32_t most = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t bits = to_bits(x[i]) & 0x7fffffffU;
    most = bits > most ? bits : most;
  }
  return most;
}

inline void quantize_int8(const float* x, float inverse, std::int8_t* codes, std::int64_t n) {
  constexpr float kWhole = 12582912.0F;  // 1.5 * 2^23: added to it a number is rounded to a whole
  for (std::int64_t i = 0; i < n; ++i) {
    const auto rounded = static_cast<std::int32_t>(to_bits(x[i] * inverse + kWhole));
    codes[i] = static_cast<std::int8_t>(rounded - static_cast<std::int32_t>(to_bits(kWhole)));
  }
}

inline void quantize_fp8(const float* x, float inverse, std::uint8_t* codes, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) codes[i] = fp8_code(x[i] * inverse);
}

inline void quantize_nf4(const float* x, float inverse, std::uint8_t* codes, std::int64_t n) {
  float scaled[kNf4Block] = {};
  std::int32_t places[kNf4Block] = {};
  for (std::int64_t i = 0; i < n; ++i) scaled[i] = x[i] * inverse;
  for (int k = 0; k + 1 < 16; ++k) {
    const float middle = (kNf4Values[k] + kNf4Values[k + 1]) / 2;
    for (std::int64_t i = 0; i < kNf4Block; ++i) places[i] += scaled[i] > middle ? 1 : 0;
  }
  for (std::int64_t i = 0; i < (n + 1) / 2; ++i) {
    codes[i] = static_cast<std::uint8_t>(places[2 * i] << 4 | places[2 * i + 1]);
  }
}

template <class T>
constexpr DequantizeKernels<T> dequantize_table() {
  return {.int8 = &dequantize_int8<T>, .fp8 = &dequantize_fp8<T>, .nf4 = &dequantize_nf4<T>};
}

constexpr QuantizeKernels kQuantizeKernels = {
    .largest = &largest_bits, .int8 = &quantize_int8, .fp8 = &quantize_fp8, .nf4 = &quantize_nf4};

}  // namespace distill::ops::cpu::DISTILL_ISA
