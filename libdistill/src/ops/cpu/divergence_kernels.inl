// Element-wise passes of linear_divergence for one instruction set; the file that includes this has
// included one vec_*.h and defined DISTILL_ISA.

#include "ops/cpu/divergence_table.h"
#include "ops/cpu/vec_math.inl"

namespace distill::ops::cpu::DISTILL_ISA {

struct MaskDouble {
  bool m;
};
DISTILL_INLINE MaskDouble operator<(VecDouble a, VecDouble b) {
  return {a.v < b.v};
}
DISTILL_INLINE VecDouble select(MaskDouble mask, VecDouble yes, VecDouble no) {
  return mask.m ? yes : no;
}
DISTILL_INLINE VecDouble max(VecDouble a, VecDouble b) {
  return {a.v > b.v ? a.v : b.v};
}
DISTILL_INLINE VecDouble min(VecDouble a, VecDouble b) {
  return {a.v < b.v ? a.v : b.v};
}
DISTILL_INLINE VecDouble exp(VecDouble a) {
  return {__builtin_exp(a.v)};
}
DISTILL_INLINE VecDouble tanh(VecDouble a) {
  return {__builtin_tanh(a.v)};
}
DISTILL_INLINE VecDouble expm1(VecDouble a) {
  return {__builtin_expm1(a.v)};
}
DISTILL_INLINE VecDouble log1p(VecDouble a) {
  return {__builtin_log1p(a.v)};
}
/// Odd series near 0, where 1 - 2 / (e^2x + 1) cancels.
DISTILL_INLINE Vec tanh(Vec x) {
  constexpr float kC[] = {-1.0F / 3, 2.0F / 15, -17.0F / 315, 62.0F / 2835, -1382.0F / 155925};
  const Vec one = Vec::broadcast(1.0F);
  const Vec square = x * x;
  const Vec near = fma(x * square, polynomial(square, kC), x);
  const Vec far = one - Vec::broadcast(2.0F) / (exp(x + x) + one);
  return select(square < Vec::broadcast(0.0625F), near, far);
}

}  // namespace distill::ops::cpu::DISTILL_ISA

#include "ops/cpu/divergence_layouts.inl"
#include "ops/cpu/divergence_terms.inl"

namespace distill::ops::cpu::DISTILL_ISA {

template <class V, class T>
DISTILL_INLINE V transformed(V x, const Transform<T>& transform) {
  x = x * V::broadcast(transform.scale);
  if (transform.softcap == T(0)) return x;
  return V::broadcast(transform.softcap) * tanh(x * V::broadcast(T(1) / transform.softcap));
}

template <class T>
void divergence_prepare(const PrepareArgs<T>& a, std::int64_t rows) {
  using V = VecOf<T>;
  for (std::int64_t row = 0; row < rows; ++row) {
    T* x = a.block.data + row * a.block.stride;
    if (!a.transform.identity()) {
      for (std::int64_t i = 0; i < a.block.columns; i += V::kWidth) {
        transformed(V::load(x + i, AllLanes{}), a.transform).store(x + i, AllLanes{});
      }
    }
    for (std::int64_t i = a.valid_columns; i < a.block.columns; ++i) x[i] = T(kNoLogit);
  }
}

template <class T>
void divergence_stats(const StatsArgs<T>& a, std::int64_t rows) {
  using V = VecOf<T>;
  for (std::int64_t row = 0; row < rows; ++row) {
    const T* x = a.block.data + row * a.block.stride;
    T* maxima = a.maxima + row * kStatLanes;
    const V before = V::load(maxima, AllLanes{});
    V maximum = before;
    for (std::int64_t i = 0; i < a.block.columns; i += V::kWidth) {
      maximum = max(maximum, V::load(x + i, AllLanes{}));
    }
    maximum.store(maxima, AllLanes{});
    for (std::int64_t t = 0; t < a.num_temperatures; ++t) {
      const V inverse = V::broadcast(a.inverse_temperatures[t]);
      T* sums = a.sums + (row * a.num_temperatures + t) * kStatLanes;
      V total = V::load(sums, AllLanes{}) * exp((before - maximum) * inverse);
      for (std::int64_t i = 0; i < a.block.columns; i += V::kWidth) {
        total = total + exp((V::load(x + i, AllLanes{}) - maximum) * inverse);
      }
      total.store(sums, AllLanes{});
    }
  }
}

/// One model's row, ready to give log-probabilities.
template <class V, class T>
struct RowLogProbs {
  const T* x;
  V maximum;
  V inverse_temperature;
  V minus_log_sum;

  DISTILL_INLINE RowLogProbs(const LogitBlock<T>& block, const RowStats<T>& stats,
                             const PairArgs<T>& a, const TermArgs<T>& term, std::int64_t row)
      : x(block.data + row * block.stride),
        maximum(V::broadcast(stats.maxima[row])),
        inverse_temperature(V::broadcast(term.inverse_temperature)),
        minus_log_sum(V::broadcast(-stats.log_sums[row * a.num_temperatures + term.temperature])) {}
  DISTILL_INLINE V at(std::int64_t i) const {
    return fma(V::load(x + i, AllLanes{}) - maximum, inverse_temperature, minus_log_sum);
  }
};

/// Calls body(i, log-probabilities) for each vector of one row.
template <class Kind, class T, class Body>
DISTILL_INLINE void for_ids(const PairArgs<T>& a, const TermArgs<T>& term, std::int64_t row,
                            Body body) {
  using V = VecOf<T>;
  const RowStats<T>& stats = term.apart_from_held ? a.apart_stats : a.student_stats;
  const RowLogProbs<V, T> student(a.student, stats, a, term, row);
  if constexpr (Kind::kNeedsTeacher) {
    const RowLogProbs<V, T> teacher(a.teacher, a.teacher_stats, a, term, row);
    for (std::int64_t i = 0; i < a.student.columns; i += V::kWidth) {
      body(i, LogProbs<V>{student.at(i), teacher.at(i)});
    }
  } else {
    for (std::int64_t i = 0; i < a.student.columns; i += V::kWidth) {
      const V log_s = student.at(i);
      body(i, LogProbs<V>{log_s, log_s});
    }
  }
}

template <class V, class T>
DISTILL_INLINE TermRow<V> term_row(const PairArgs<T>& a, std::int64_t term_index,
                                   std::int64_t row) {
  const TermArgs<T>& term = a.terms[term_index];
  const T* params = a.row_params + (row * a.num_terms + term_index) * kRowParams;
  TermRow<V> result;
  for (std::int64_t i = 0; i < kRowParams; ++i) result.params[i] = V::broadcast(params[i]);
  result.teacher_share = V::broadcast(term.teacher_share);
  result.smoothing = V::broadcast(term.smoothing);
  result.threshold = result.params[0];  // before the reductions are there
  return result;
}

template <class Kind, class T>
DISTILL_INLINE void reduce_term(const ReduceArgs<T>& a, std::int64_t term_index, std::int64_t row) {
  using V = VecOf<T>;
  if constexpr (Kind::kReductions > 0) {
    const TermRow<V> of_row = term_row<V>(a.pair, term_index, row);
    V sums[Kind::kReductions];
    for (V& part : sums) part = V::broadcast(0);
    for_ids<Kind>(a.pair, a.pair.terms[term_index], row,
                  [&](std::int64_t, const LogProbs<V>& log_p)
                      DISTILL_INLINE_LAMBDA { Kind::reduce(log_p, of_row, sums); });
    double* out = a.sums + (row * a.pair.num_terms + term_index) * kMostReductions;
    for (int i = 0; i < Kind::kReductions; ++i) out[i] += static_cast<double>(sum(sums[i]));
  }
}

/// Adds one term's gradient of one row to `gradient` (writes it, for the first term).
template <class Kind, class T>
DISTILL_INLINE void add_term(const GradientArgs<T>& a, std::int64_t term_index, std::int64_t row,
                             T* gradient) {
  using V = VecOf<T>;
  const TermArgs<T>& term = a.pair.terms[term_index];
  const T weight = a.row_weights != nullptr ? a.row_weights[row] : T(1);
  const V coefficient = V::broadcast(term.coefficient * weight);
  const TermRow<V> of_row = term_row<V>(a.pair, term_index, row);
  const bool first = term_index == 0;
  V value = V::broadcast(0);
  for_ids<Kind>(a.pair, term, row,
                [&](std::int64_t i, const LogProbs<V>& log_p) DISTILL_INLINE_LAMBDA {
                  const V slope = Kind::step(log_p, of_row, value) * coefficient;
                  const V so_far = first ? slope : slope + V::load(gradient + i, AllLanes{});
                  so_far.store(gradient + i, AllLanes{});
                });
  a.values[term_index] += static_cast<double>(weight) * static_cast<double>(sum(value));
}

/// Corrects the label's id, if it is in this block.
template <class T>
DISTILL_INLINE void add_label(const GradientArgs<T>& a, std::int64_t term_index, std::int64_t row,
                              T* gradient) {
  const PairArgs<T>& pair = a.pair;
  const TermArgs<T>& term = pair.terms[term_index];
  const std::int64_t column = a.labels[row] - a.first_column;
  if (column < 0 || column >= pair.student.columns) return;
  const T weight = a.row_weights != nullptr ? a.row_weights[row] : T(1);
  const T logit = pair.student.data[row * pair.student.stride + column];
  const T log_s = (logit - pair.student_stats.maxima[row]) * term.inverse_temperature -
                  pair.student_stats.log_sums[row * pair.num_temperatures + term.temperature];
  a.values[term_index] -= static_cast<double>(weight * term.label_weight * log_s);
  gradient[column] -= weight * term.label_weight * term.coefficient;
}

/// The held ids of a row that lie in this block: [begin, end) of its list.
struct HeldRange {
  std::int64_t begin;
  std::int64_t end;
};
template <class T>
DISTILL_INLINE HeldRange held_in_block(const GradientArgs<T>& a, const std::int64_t* ids) {
  const auto first_at_least = [&](std::int64_t id) DISTILL_INLINE_LAMBDA {
    std::int64_t low = 0;
    std::int64_t high = a.held.count;
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      if (ids[middle] < id) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  };
  return {first_at_least(a.first_column), first_at_least(a.first_column + a.pair.student.columns)};
}

/// The shared slope, and the held ids' own ones in its place (or beside it, where it includes
/// them).
template <class T>
DISTILL_INLINE void add_shared_slope(const GradientArgs<T>& a, std::int64_t term_index,
                                     std::int64_t row, T* gradient) {
  const TermArgs<T>& term = a.pair.terms[term_index];
  const T weight = a.row_weights != nullptr ? a.row_weights[row] : T(1);
  const std::int64_t* ids = a.held.ids + row * a.held.count;
  const T* slopes = a.held.slopes + (row * a.pair.num_terms + term_index) * a.held.count;
  const HeldRange range = held_in_block(a, ids);
  T* x = a.pair.student.data + row * a.pair.student.stride;
  // Against the statistics of the others, exp of a held logit could overflow: it is taken out.
  if (term.apart_from_held) {
    for (std::int64_t k = range.begin; k < range.end; ++k) x[ids[k] - a.first_column] = T(kNoLogit);
  }
  add_term<SharedSlope>(a, term_index, row, gradient);
  if (term.apart_from_held) {
    const T* logits = a.held.logits + row * a.held.count;
    for (std::int64_t k = range.begin; k < range.end; ++k) x[ids[k] - a.first_column] = logits[k];
  }
  for (std::int64_t k = range.begin; k < range.end; ++k) {
    gradient[ids[k] - a.first_column] += weight * term.coefficient * slopes[k];
  }
}

/// From the gradient with respect to transformed logits to that of the raw ones.
template <class V, class T>
DISTILL_INLINE V through_transform(V gradient, V x, const Transform<T>& transform) {
  gradient = gradient * V::broadcast(transform.scale);
  if (transform.softcap == T(0)) return gradient;
  const V ratio = x * V::broadcast(T(1) / transform.softcap);
  const V slope = V::broadcast(1) - ratio * ratio;
  return gradient * max(V::broadcast(0), slope);
}

/// Calls body.template operator()<Kind>() for the term's kind.
template <class Body>
DISTILL_INLINE void with_kind(TermKind kind, Body body) {
  switch (kind) {
    case TermKind::kForwardKl:
      return body.template operator()<ForwardKl>();
    case TermKind::kReverseKl:
      return body.template operator()<ReverseKl>();
    case TermKind::kJsd:
      return body.template operator()<Jsd>();
    case TermKind::kSkewForwardKl:
      return body.template operator()<SkewForwardKl>();
    case TermKind::kSkewReverseKl:
      return body.template operator()<SkewReverseKl>();
    case TermKind::kBlendedKl:
      return body.template operator()<BlendedKl>();
    case TermKind::kTotalVariation:
      return body.template operator()<TotalVariation>();
    case TermKind::kCrossEntropy:
      return body.template operator()<CrossEntropy>();
    case TermKind::kSmoothedCrossEntropy:
      return body.template operator()<SmoothedCrossEntropy>();
    case TermKind::kSharedSlope:
      return body.template operator()<SharedSlope>();
  }
}

template <class T>
void divergence_reduce(const ReduceArgs<T>& a, std::int64_t rows) {
  for (std::int64_t t = 0; t < a.pair.num_terms; ++t) {
    with_kind(a.pair.terms[t].kind, [&]<class Kind>() DISTILL_INLINE_LAMBDA {
      if constexpr (Kind::kReductions > 0) {
        for (std::int64_t row = 0; row < rows; ++row) reduce_term<Kind>(a, t, row);
      }
    });
  }
}

template <class T>
DISTILL_INLINE void form_gradient_row(const GradientArgs<T>& a, std::int64_t row, T* gradient) {
  for (std::int64_t t = 0; t < a.pair.num_terms; ++t) {
    const TermKind kind = a.pair.terms[t].kind;
    if (kind == TermKind::kSharedSlope) {
      add_shared_slope(a, t, row, gradient);
      continue;
    }
    with_kind(kind,
              [&]<class Kind>() DISTILL_INLINE_LAMBDA { add_term<Kind>(a, t, row, gradient); });
    if (kind == TermKind::kCrossEntropy || kind == TermKind::kSmoothedCrossEntropy) {
      add_label(a, t, row, gradient);
    }
  }
}

template <class T>
void divergence_gradient(const GradientArgs<T>& a, std::int64_t rows) {
  using V = VecOf<T>;
  const LogitBlock<T>& student = a.pair.student;
  for (std::int64_t row = 0; row < rows; ++row) {
    T* logits = student.data + row * student.stride;
    T* gradient = a.scratch;
    form_gradient_row(a, row, gradient);
    if (!a.transform.identity()) {
      for (std::int64_t i = 0; i < student.columns; i += V::kWidth) {
        through_transform(V::load(gradient + i, AllLanes{}), V::load(logits + i, AllLanes{}),
                          a.transform)
            .store(gradient + i, AllLanes{});
      }
    }
    for (std::int64_t i = 0; i < student.columns; i += V::kWidth) {
      const V finished = V::load(gradient + i, AllLanes{});
      if constexpr (V::kWidth > 1) {
        if (a.gradient != nullptr) {
          finished.store(a.gradient + row * a.gradient_stride + i, AllLanes{});
          continue;
        }
      }
      finished.store(logits + i, AllLanes{});
    }
  }
}

extern const DivergenceTable kDivergenceTable;
constexpr DivergenceTable kDivergenceTable = {
    .f32 = {.prepare = &divergence_prepare<float>,
            .stats = &divergence_stats<float>,
            .reduce = &divergence_reduce<float>,
            .gradient = &divergence_gradient<float>},
    .f64 = {.prepare = &divergence_prepare<double>,
            .stats = &divergence_stats<double>,
            .reduce = &divergence_reduce<double>,
            .gradient = &divergence_gradient<double>},
    .interleave = &interleave,
    .transpose = &transpose,
    .transpose_to_bf16 = &transpose_to_bf16,
};

}  // namespace distill::ops::cpu::DISTILL_ISA
