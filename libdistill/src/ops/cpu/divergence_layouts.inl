// Layouts the matrix products read. Words are 32-bit: a word is a float, or two bf16 side by side.

namespace distill::ops::cpu::DISTILL_ISA {

inline constexpr std::int64_t kWords = Vec::kWidth;
typedef std::uint16_t Halves __attribute__((vector_size(2 * kWords)));
typedef std::uint32_t Words __attribute__((vector_size(4 * kWords)));

void interleave(const Bf16* a, const Bf16* b, Bf16* out, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + kWords <= n; i += kWords) {
    Halves low;
    Halves high{};
    __builtin_memcpy(&low, a + i, sizeof low);
    if (b != nullptr) __builtin_memcpy(&high, b + i, sizeof high);
    const Words both =
        __builtin_convertvector(low, Words) | (__builtin_convertvector(high, Words) << 16);
    __builtin_memcpy(out + 2 * i, &both, sizeof both);
  }
  for (; i < n; ++i) {
    out[2 * i] = a[i];
    out[2 * i + 1] = b != nullptr ? b[i] : Bf16{0};
  }
}

/// Swaps the off-diagonal quarters of every 2s x 2s square, s = 1, 2, 4, ...
template <int Step>
DISTILL_INLINE void transpose_step(Words (&square)[kWords]) {
  if constexpr (Step < kWords) {
    Words low{};
    Words high{};
#pragma GCC unroll 16
    for (std::uint32_t lane = 0; lane < kWords; ++lane) {
      const bool right = (lane & Step) != 0;
      low[lane] = right ? lane - Step + kWords : lane;
      high[lane] = right ? lane + kWords : lane + Step;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kWords; ++i) {
      if ((i & Step) != 0) continue;
      const Words upper = square[i];
      const Words lower = square[i + Step];
      square[i] = __builtin_shuffle(upper, lower, low);
      square[i + Step] = __builtin_shuffle(upper, lower, high);
    }
    transpose_step<2 * Step>(square);
  }
}

DISTILL_INLINE void load_square(const std::uint32_t* in, std::int64_t stride,
                                Words (&square)[kWords]) {
#pragma GCC unroll 16
  for (int i = 0; i < kWords; ++i) __builtin_memcpy(&square[i], in + i * stride, sizeof(Words));
  transpose_step<1>(square);
}

void transpose(const std::uint32_t* in, std::int64_t in_stride, std::uint32_t* out,
               std::int64_t out_stride, std::int64_t rows, std::int64_t columns) {
  const std::int64_t whole_rows = rows - rows % kWords;
  const std::int64_t whole_columns = columns - columns % kWords;
  for (std::int64_t c = 0; c < whole_columns; c += kWords) {
    for (std::int64_t r = 0; r < whole_rows; r += kWords) {
      Words square[kWords];
      load_square(in + r * in_stride + c, in_stride, square);
#pragma GCC unroll 16
      for (int i = 0; i < kWords; ++i) {
        __builtin_memcpy(out + (c + i) * out_stride + r, &square[i], sizeof(Words));
      }
    }
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c) {
      out[c * out_stride + r] = in[r * in_stride + c];
    }
  }
}

void transpose_to_bf16(const float* in, std::int64_t in_stride, Bf16* out, std::int64_t out_stride,
                       std::int64_t rows, std::int64_t columns) {
  for (std::int64_t r = 0; r < rows; r += kWords) {
    for (std::int64_t c = 0; c < columns; c += kWords) {
      const std::int64_t height = rows - r < kWords ? rows - r : kWords;
      const std::int64_t width = columns - c < kWords ? columns - c : kWords;
      Words square[kWords] = {};
      for (std::int64_t i = 0; i < height; ++i) {
        __builtin_memcpy(&square[i], in + (r + i) * in_stride + c,
                         static_cast<std::size_t>(width) * sizeof(float));
      }
      transpose_step<1>(square);
      for (std::int64_t i = 0; i < width; ++i) {
        float line[kWords];
        __builtin_memcpy(line, &square[i], sizeof line);
        Vec::load(line, AllLanes{}).store(out + (c + i) * out_stride + r, height);
      }
    }
  }
}

}  // namespace distill::ops::cpu::DISTILL_ISA
