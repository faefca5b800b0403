#include "ops/cpu/attention_rows.h"

namespace distill::ops::cpu::DISTILL_ISA {

/// 2^x for x <= 127 within 3e-6 of itself; 0 below -150, NaN for NaN. What follows rounds to bf16.
DISTILL_INLINE Vec attention_exp2(Vec x) {
  constexpr float kP[] = {9.9999926e-01F, 6.9312181e-01F, 2.4024745e-01F, 5.5917860e-02F,
                          9.5701000e-03F};
  const Vec clamped = max(Vec::broadcast(-150.0F), x);
  const Vec n = round(clamped);
  return scale_by_power_of_two(polynomial(clamped - n, kP), n);
}

/// Columns [begin, end) of a row.
struct Columns {
  std::int64_t begin, end;
};

DISTILL_INLINE std::int64_t clamp(std::int64_t x, std::int64_t least, std::int64_t most) {
  return x < least ? least : x < most ? x : most;
}

DISTILL_INLINE Columns seen_columns(const CausalRows& seen, std::int64_t row,
                                    std::int64_t columns) {
  const std::int64_t token = seen.first_token + row / seen.group;
  const std::int64_t end = clamp(token + 1, 0, columns);
  return {seen.window > 0 ? clamp(token + 1 - seen.window, 0, end) : 0, end};
}

/// A vector of which all columns are seen, and one where some may not be.
struct Inside {
  DISTILL_INLINE Vec keep(Vec x, Vec) const { return x; }
};
struct Edge {
  Columns seen;  ///< counted from the vector's first column
  DISTILL_INLINE Edge(Columns columns, std::int64_t i) : seen{columns.begin - i, columns.end - i} {}
  DISTILL_INLINE Vec keep(Vec x, Vec other) const {
    constexpr float kLanes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const Vec lane = Vec::load(kLanes, AllLanes{});
    const Vec after_begin = select(lane < Vec::broadcast(static_cast<float>(seen.begin)), other, x);
    return select(lane < Vec::broadcast(static_cast<float>(seen.end)), after_begin, other);
  }
};

DISTILL_INLINE std::int64_t vector_floor(std::int64_t i) {
  return i / Vec::kWidth * Vec::kWidth;
}

/// Calls body(i, inside or edge) for each vector that holds seen columns.
template <class Body>
DISTILL_INLINE void for_seen(Columns seen, Body body) {
  if (seen.begin >= seen.end) return;
  std::int64_t i = vector_floor(seen.begin);
  if (i < seen.begin) {
    body(i, Edge(seen, i));
    i += Vec::kWidth;
  }
  for (; i + Vec::kWidth <= seen.end; i += Vec::kWidth) body(i, Inside{});
  if (i < seen.end) body(i, Edge(seen, i));
}

/// The vectors that for_seen leaves out.
template <class Body>
DISTILL_INLINE void for_unseen(Columns seen, std::int64_t columns, Body body) {
  const bool none = seen.begin >= seen.end;
  const std::int64_t first = none ? columns : vector_floor(seen.begin);
  const std::int64_t last = none ? columns : vector_floor(seen.end + Vec::kWidth - 1);
  for (std::int64_t i = 0; i < first; i += Vec::kWidth) body(i);
  for (std::int64_t i = last; i < columns; i += Vec::kWidth) body(i);
}

/// Raises the maximum of a row by a block and rescales what was summed with the one before.
DISTILL_INLINE void raise_maximum(const AttentionSoftmaxArgs& a, std::int64_t row, Columns seen) {
  const float* scores = a.scores + row * a.stride;
  const Vec scale = Vec::broadcast(a.scale);
  const Vec nothing = Vec::broadcast(-__builtin_inff());
  Vec best = nothing;
  for_seen(seen, [&](std::int64_t i, auto part) DISTILL_INLINE_LAMBDA {
    best = max(part.keep(Vec::load(scores + i, AllLanes{}) * scale, nothing), best);
  });
  const float before = a.maxima[row];
  const float now = reduce_max(best);
  if (!(now > before)) return;
  a.maxima[row] = now;
  if (a.output == nullptr) return;
  const Vec factor = attention_exp2(Vec::broadcast(before - now));
  float* output = a.output + row * a.value_size;
  for_vectors<Vec>(a.value_size, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
    (Vec::load(output + i, lanes) * factor).store(output + i, lanes);
  });
  const Vec rescaled = Vec::broadcast(a.sums[row]) * factor;
  rescaled.store(a.sums + row, std::int64_t{1});
}

void attention_softmax(const AttentionSoftmaxArgs& a) {
  const Vec scale = Vec::broadcast(a.scale);
  const Vec zero = Vec::broadcast(0.0F);
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const Columns seen = seen_columns(a.seen, row, a.columns);
    raise_maximum(a, row, seen);
    const Vec maximum = Vec::broadcast(a.maxima[row]);
    const float* scores = a.scores + row * a.stride;
    Bf16* out = a.probabilities + row * a.stride;
    Vec total = zero;
    for_seen(seen, [&](std::int64_t i, auto part) DISTILL_INLINE_LAMBDA {
      const Vec x = Vec::load(scores + i, AllLanes{}) * scale - maximum;
      const Vec p = part.keep(attention_exp2(x), zero);
      total = total + p;
      store_high(out + i, rounded_to_bf16(p));
    });
    for_unseen(seen, a.columns,
               [&](std::int64_t i) DISTILL_INLINE_LAMBDA { store_high(out + i, zero); });
    a.sums[row] += sum(total);
  }
}

/// One row of a pair: its P and dS at a vector of columns, rounded in the upper half of each lane.
struct GradRow {
  const float* scores;
  const float* prob_grads;
  Columns seen;
  Vec log_sum, delta;

  DISTILL_INLINE GradRow(const AttentionGradArgs& a, std::int64_t row)
      : scores(a.scores + row * a.stride),
        prob_grads(a.prob_grads + row * a.stride),
        seen(row < a.real_rows ? seen_columns(a.seen, row, a.columns) : Columns{0, 0}),
        log_sum(Vec::broadcast(a.log_sums[row])),
        delta(Vec::broadcast(a.deltas[row])) {}

  template <class Part>
  DISTILL_INLINE void form(std::int64_t i, Vec scale, Part part, Vec& p, Vec& grad) const {
    const Vec zero = Vec::broadcast(0.0F);
    const Vec x = part.keep(Vec::load(scores + i, AllLanes{}) * scale - log_sum, zero);
    const Vec exact = part.keep(attention_exp2(x), zero);
    const Vec change = part.keep(Vec::load(prob_grads + i, AllLanes{}) - delta, zero);
    p = rounded_to_bf16(exact);
    grad = rounded_to_bf16(exact * change);
  }
};

struct GradPair {
  const AttentionGradArgs& a;
  std::int64_t row;
  GradRow even, odd;

  DISTILL_INLINE void write(std::int64_t i, Vec p0, Vec p1, Vec grad0, Vec grad1) const {
    store_high(a.grads + row * a.stride + i, grad0);
    store_high(a.grads + (row + 1) * a.stride + i, grad1);
    store_high_pairs(a.prob_pairs + row * a.stride + 2 * i, p0, p1);
    store_high_pairs(a.grad_pairs + row * a.stride + 2 * i, grad0, grad1);
  }
  template <class Even, class Odd>
  DISTILL_INLINE void form(std::int64_t i, Even even_part, Odd odd_part) const {
    const Vec scale = Vec::broadcast(a.scale);
    Vec p0, p1, grad0, grad1;
    even.form(i, scale, even_part, p0, grad0);
    odd.form(i, scale, odd_part, p1, grad1);
    write(i, p0, p1, grad0, grad1);
  }
};

void attention_grad(const AttentionGradArgs& a) {
  const Vec zero = Vec::broadcast(0.0F);
  for (std::int64_t row = 0; row < a.rows; row += 2) {
    const GradPair pair{a, row, GradRow(a, row), GradRow(a, row + 1)};
    const Columns even = pair.even.seen;
    const Columns odd = pair.odd.seen;
    // The rows are of one token or of neighbours.
    const std::int64_t common_begin = even.begin < odd.begin ? odd.begin : even.begin;
    const std::int64_t common_end = even.end < odd.end ? even.end : odd.end;
    for (std::int64_t i = 0; i < a.columns; i += Vec::kWidth) {
      const std::int64_t end = i + Vec::kWidth;
      if (common_begin <= i && end <= common_end) {
        pair.form(i, Inside{}, Inside{});
      } else if ((i < even.end && even.begin < end) || (i < odd.end && odd.begin < end)) {
        pair.form(i, Edge(even, i), Edge(odd, i));
      } else {
        pair.write(i, zero, zero, zero, zero);
      }
    }
  }
}

void attention_scale_to_bf16(const float* x, float factor, Bf16* out, std::int64_t n) {
  const Vec by = Vec::broadcast(factor);
  for_vectors<Vec>(n, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
    (Vec::load(x + i, lanes) * by).store(out + i, lanes);
  });
}

float attention_dot(const Bf16* a, const Bf16* b, std::int64_t n) {
  Vec total = Vec::broadcast(0.0F);
  for_vectors<Vec>(n, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
    total = fma(Vec::load(a + i, lanes), Vec::load(b + i, lanes), total);
  });
  return sum(total);
}

void attention_add_scaled(const float* x, float factor, float* out, std::int64_t n) {
  const Vec by = Vec::broadcast(factor);
  for_vectors<Vec>(n, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
    fma(Vec::load(x + i, lanes), by, Vec::load(out + i, lanes)).store(out + i, lanes);
  });
}

typedef std::uint16_t PairHalves __attribute__((vector_size(2 * Vec::kWidth)));
typedef std::uint32_t PairWords __attribute__((vector_size(4 * Vec::kWidth)));

void attention_split_pairs(const Bf16* pairs, Bf16* even, Bf16* odd, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + Vec::kWidth <= n; i += Vec::kWidth) {
    PairWords words;
    __builtin_memcpy(&words, pairs + 2 * i, sizeof words);
    const auto low = __builtin_convertvector(words & 0xffffU, PairHalves);
    const auto high = __builtin_convertvector(words >> 16, PairHalves);
    __builtin_memcpy(even + i, &low, sizeof low);
    __builtin_memcpy(odd + i, &high, sizeof high);
  }
  for (; i < n; ++i) {
    even[i] = pairs[2 * i];
    odd[i] = pairs[2 * i + 1];
  }
}

inline constexpr AttentionKernels kAttentionKernels = {
    .softmax = &attention_softmax,
    .grad = &attention_grad,
    .scale_to_bf16 = &attention_scale_to_bf16,
    .dot = &attention_dot,
    .add_scaled = &attention_add_scaled,
    .split_pairs = &attention_split_pairs,
};

}  // namespace distill::ops::cpu::DISTILL_ISA
