// What the passes over a row of logits share; see divergence_rows.inl.

#pragma once

#include "ops/cuda/divergence_kernels.h"
#include "ops/cuda/scalar.h"

namespace distill::ops::cuda {

using cpu::kMostReductions;
using cpu::kNoLogit;
using cpu::kRowParams;
using cpu::TermKind;
using cpu::Transform;
using cpu::scalar::LogProbs;
using cpu::scalar::Number;
using cpu::scalar::TermRow;

/// Ids (or sums) that a thread works on together, so that several loads are in flight.
inline constexpr int kIdsAtOnce = 4;
/// Ids that a thread sums up in T before the sum is carried on in double.
inline constexpr std::int64_t kIdsInOneSum = 64;

/// Calls body(i) for the thread's ids of [0, count), and carry() after every kIdsInOneSum of them
/// and at the end.
template <class Block, class Body, class Carry>
DISTILL_BLOCK void for_sums(Block& block, std::int64_t count, Body body, Carry carry) {
  const std::int64_t stretch = kIdsInOneSum * block.size();
  for (std::int64_t begin = 0; begin < count; begin += stretch) {
    const std::int64_t end = begin + stretch < count ? begin + stretch : count;
    for (std::int64_t i = begin + block.thread(); i < end; i += block.size()) body(i);
    carry();
  }
}

/// Calls body.template operator()<Kind>() for the term's kind.
template <class Body>
DISTILL_BLOCK void with_kind(TermKind kind, Body body) {
  namespace kinds = cpu::scalar;
  switch (kind) {
    case TermKind::kForwardKl:
      return body.template operator()<kinds::ForwardKl>();
    case TermKind::kReverseKl:
      return body.template operator()<kinds::ReverseKl>();
    case TermKind::kJsd:
      return body.template operator()<kinds::Jsd>();
    case TermKind::kSkewForwardKl:
      return body.template operator()<kinds::SkewForwardKl>();
    case TermKind::kSkewReverseKl:
      return body.template operator()<kinds::SkewReverseKl>();
    case TermKind::kBlendedKl:
      return body.template operator()<kinds::BlendedKl>();
    case TermKind::kTotalVariation:
      return body.template operator()<kinds::TotalVariation>();
    case TermKind::kCrossEntropy:
      return body.template operator()<kinds::CrossEntropy>();
    case TermKind::kSmoothedCrossEntropy:
      return body.template operator()<kinds::SmoothedCrossEntropy>();
    case TermKind::kSharedSlope:
      return body.template operator()<kinds::SharedSlope>();
  }
}

DISTILL_INLINE bool is_cross_entropy(TermKind kind) {
  return kind == TermKind::kCrossEntropy || kind == TermKind::kSmoothedCrossEntropy;
}
/// Kinds whose values come from the last pass.
DISTILL_INLINE bool has_step_value(TermKind kind) {
  return kind == TermKind::kForwardKl || is_cross_entropy(kind);
}

template <class T>
DISTILL_INLINE T* params_of(const Chunk<T>& chunk, const Terms<T>& terms, std::int64_t row,
                            std::int64_t term) {
  return chunk.params + (row * terms.count + term) * kRowParams;
}

/// A model's row at one temperature, ready to give log-probabilities.
template <class T>
struct RowLogProbs {
  T maximum;
  T inverse_temperature;
  T minus_log_sum;

  DISTILL_INLINE RowLogProbs(const T* maxima, const T* log_sums, const Terms<T>& terms,
                             const cpu::TermArgs<T>& term, std::int64_t row)
      : maximum(maxima[row]),
        inverse_temperature(term.inverse_temperature),
        minus_log_sum(-log_sums[row * terms.num_temperatures + term.temperature]) {}
  DISTILL_INLINE Number<T> operator()(T x) const {
    return fma(Number<T>{x - maximum}, Number<T>{inverse_temperature}, Number<T>{minus_log_sum});
  }
};

template <class T>
DISTILL_INLINE RowLogProbs<T> student_log_probs(const Chunk<T>& chunk, const Terms<T>& terms,
                                                const cpu::TermArgs<T>& term, std::int64_t row) {
  return term.apart_from_held
             ? RowLogProbs<T>(chunk.held.maxima, chunk.held.log_sums, terms, term, row)
             : RowLogProbs<T>(chunk.student.maxima, chunk.student.log_sums, terms, term, row);
}

template <class V, class T>
DISTILL_INLINE TermRow<V> term_row(const cpu::TermArgs<T>& term, const T* params) {
  TermRow<V> row;
  for (std::int64_t i = 0; i < kRowParams; ++i) row.params[i] = V::broadcast(params[i]);
  row.teacher_share = V::broadcast(term.teacher_share);
  row.smoothing = V::broadcast(term.smoothing);
  row.threshold = row.params[0];  // before the reductions are there
  return row;
}

template <class T, class Block>
DISTILL_BLOCK void transform_row(Block& block, T* x, std::int64_t ids,
                                 const Transform<T>& transform) {
  if (transform.identity()) return;
  for (std::int64_t i = block.thread(); i < ids; i += block.size()) {
    const T scaled = x[i] * transform.scale;
    x[i] = transform.softcap == T(0)
               ? scaled
               : transform.softcap * tanh(Number<T>{scaled * (T(1) / transform.softcap)}).v;
  }
  block.sync();
}

/// The maximum and, for each temperature, the log of the sum of exp((x - maximum) / temperature).
template <class T, class Block>
DISTILL_BLOCK void statistics_of_row(Block& block, const T* x, std::int64_t ids,
                                     const Terms<T>& terms, T* maximum_out, T* log_sums) {
  T maximum = T(-1e38F);
  for (std::int64_t i = block.thread(); i < ids; i += block.size()) {
    maximum = max(Number<T>{maximum}, Number<T>{x[i]}).v;
  }
  maximum = block.max(maximum);
  for (std::int64_t first = 0; first < terms.num_temperatures; first += kIdsAtOnce) {
    T sums[kIdsAtOnce] = {};
    double totals[kIdsAtOnce] = {};
    for_sums(
        block, ids,
        [&](std::int64_t i) {
          const T distance = x[i] - maximum;
          for (int k = 0; k < kIdsAtOnce; ++k) {
            if (first + k >= terms.num_temperatures) continue;
            sums[k] += exp(Number<T>{distance * terms.inverse_temperatures[first + k]}).v;
          }
        },
        [&] {
          for (int k = 0; k < kIdsAtOnce; ++k) {
            totals[k] += static_cast<double>(sums[k]);
            sums[k] = T(0);
          }
        });
    for (int k = 0; k < kIdsAtOnce; ++k) {
      if (first + k >= terms.num_temperatures) continue;
      const double total = block.sum(totals[k]);
      if (block.thread() == 0) log_sums[first + k] = static_cast<T>(::log(total));
    }
  }
  if (block.thread() == 0) *maximum_out = maximum;
  block.sync();
}

/// Order of the keys is that of the numbers.
DISTILL_INLINE std::uint32_t key_of(float x) {
  std::uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
}
DISTILL_INLINE std::uint64_t key_of(double x) {
  std::uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (bits >> 63) != 0 ? ~bits : bits | 0x8000000000000000U;
}
DISTILL_INLINE float number_of(std::uint32_t key) {
  const std::uint32_t bits = (key >> 31) != 0 ? key & 0x7fffffffU : ~key;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
DISTILL_INLINE double number_of(std::uint64_t key) {
  const std::uint64_t bits = (key >> 63) != 0 ? key & 0x7fffffffffffffffU : ~key;
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/// The largest x such that the entries >= x of log_prob(0), ..., log_prob(count - 1) hold at least
/// `mass` of the probability; below all of them where they hold less. Finds four bits at a time.
template <class T, class Block, class LogProb>
DISTILL_BLOCK T head_threshold(Block& block, std::int64_t count, double mass, LogProb log_prob) {
  constexpr int kBits = 4;
  constexpr int kChoices = (1 << kBits) - 1;
  using Key = decltype(key_of(T(0)));
  Key found = 0;
  for (int shift = static_cast<int>(8 * sizeof(Key)) - kBits; shift >= 0; shift -= kBits) {
    T held[kChoices] = {};
    for (std::int64_t i = block.thread(); i < count; i += block.size()) {
      const Number<T> x = log_prob(i);
      const Key key = key_of(x.v);
      const T p = exp(x).v;
      for (int k = 0; k < kChoices; ++k) {
        if (key >= (found | (static_cast<Key>(k + 1) << shift))) held[k] += p;
      }
    }
    int digit = 0;
    for (int k = 0; k < kChoices; ++k) {
      if (block.sum(static_cast<double>(held[k])) >= mass) digit = k + 1;
    }
    found |= static_cast<Key>(digit) << shift;
  }
  return found == 0 ? T(2) * T(kNoLogit) : number_of(found);
}

}  // namespace distill::ops::cuda
