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
DISTILL_INLINE VecDouble exp(VecDouble a) {
  return {__builtin_exp(a.v)};
}
DISTILL_INLINE VecDouble tanh(VecDouble a) {
  return {__builtin_tanh(a.v)};
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

/// Transforms one row in place and returns the larger of `maximum` and its values.
template <class V, class T>
DISTILL_INLINE V prepare_row(T* x, const StatsArgs<T>& a, V maximum) {
  if (!a.transform.identity()) {
    for (std::int64_t i = 0; i < a.block.columns; i += V::kWidth) {
      transformed(V::load(x + i, AllLanes{}), a.transform).store(x + i, AllLanes{});
    }
  }
  for (std::int64_t i = a.valid_columns; i < a.block.columns; ++i) x[i] = T(kNoLogit);
  for (std::int64_t i = 0; i < a.block.columns; i += V::kWidth) {
    maximum = max(maximum, V::load(x + i, AllLanes{}));
  }
  return maximum;
}

template <class T>
void divergence_stats(const StatsArgs<T>& a, std::int64_t rows) {
  using V = VecOf<T>;
  for (std::int64_t row = 0; row < rows; ++row) {
    T* x = a.block.data + row * a.block.stride;
    T* maxima = a.maxima + row * kStatLanes;
    const V before = V::load(maxima, AllLanes{});
    const V maximum = prepare_row<V>(x, a, before);
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
                             const GradientArgs<T>& a, const TermArgs<T>& term, std::int64_t row)
      : x(block.data + row * block.stride),
        maximum(V::broadcast(stats.maxima[row])),
        inverse_temperature(V::broadcast(term.inverse_temperature)),
        minus_log_sum(V::broadcast(-stats.log_sums[row * a.num_temperatures + term.temperature])) {}
  DISTILL_INLINE V at(std::int64_t i) const {
    return fma(V::load(x + i, AllLanes{}) - maximum, inverse_temperature, minus_log_sum);
  }
};

/// Adds one term's gradient of one row to `gradient` (writes it, for the first term).
template <class Kind, class T>
DISTILL_INLINE void add_term(const GradientArgs<T>& a, std::int64_t term_index, std::int64_t row,
                             T* gradient) {
  using V = VecOf<T>;
  const TermArgs<T>& term = a.terms[term_index];
  const RowLogProbs<V, T> student(a.student, a.student_stats, a, term, row);
  const V coefficient = V::broadcast(term.coefficient);
  V value = V::broadcast(0);
  auto each = [&](auto&& teacher_at, bool first) DISTILL_INLINE_LAMBDA {
    for (std::int64_t i = 0; i < a.student.columns; i += V::kWidth) {
      const V slope = Kind::step(LogProbs<V>{student.at(i), teacher_at(i)}, value) * coefficient;
      (first ? slope : slope + V::load(gradient + i, AllLanes{})).store(gradient + i, AllLanes{});
    }
  };
  if constexpr (Kind::kNeedsTeacher) {
    const RowLogProbs<V, T> teacher(a.teacher, a.teacher_stats, a, term, row);
    each([&](std::int64_t i) DISTILL_INLINE_LAMBDA { return teacher.at(i); }, term_index == 0);
  } else {
    each([&](std::int64_t) DISTILL_INLINE_LAMBDA { return value; }, term_index == 0);
  }
  a.values[term_index] += static_cast<double>(sum(value));
}

/// Corrects the label's id, if it is in this block.
template <class Kind, class T>
DISTILL_INLINE void add_label(const GradientArgs<T>& a, std::int64_t term_index, std::int64_t row,
                              const T* logits, T* gradient) {
  const TermArgs<T>& term = a.terms[term_index];
  const std::int64_t column = a.labels[row] - a.first_column;
  if (column < 0 || column >= a.student.columns) return;
  const T log_p = (logits[column] - a.student_stats.maxima[row]) * term.inverse_temperature -
                  a.student_stats.log_sums[row * a.num_temperatures + term.temperature];
  gradient[column] += Kind::at_label(log_p, a.values[term_index]) * term.coefficient;
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

template <class T>
DISTILL_INLINE void form_gradient_row(const GradientArgs<T>& a, std::int64_t row, T* gradient) {
  const T* logits = a.student.data + row * a.student.stride;
  for (std::int64_t t = 0; t < a.num_terms; ++t) {
    switch (a.terms[t].kind) {
      case TermKind::kForwardKl:
        add_term<ForwardKl>(a, t, row, gradient);
        break;
      case TermKind::kCrossEntropy:
        add_term<CrossEntropy>(a, t, row, gradient);
        add_label<CrossEntropy>(a, t, row, logits, gradient);
        break;
    }
  }
}

template <class T>
void divergence_gradient(const GradientArgs<T>& a, std::int64_t rows) {
  using V = VecOf<T>;
  for (std::int64_t row = 0; row < rows; ++row) {
    T* logits = a.student.data + row * a.student.stride;
    T* gradient = a.scratch;
    form_gradient_row(a, row, gradient);
    if (!a.transform.identity()) {
      for (std::int64_t i = 0; i < a.student.columns; i += V::kWidth) {
        through_transform(V::load(gradient + i, AllLanes{}), V::load(logits + i, AllLanes{}),
                          a.transform)
            .store(gradient + i, AllLanes{});
      }
    }
    for (std::int64_t i = 0; i < a.student.columns; i += V::kWidth) {
      const V finished = V::load(gradient + i, AllLanes{});
      if constexpr (V::kWidth > 1) {
        if (a.gradient != nullptr) {
          finished.store(a.gradient + row * a.student.columns + i, AllLanes{});
          continue;
        }
      }
      finished.store(logits + i, AllLanes{});
    }
  }
}

extern const DivergenceTable kDivergenceTable;
constexpr DivergenceTable kDivergenceTable = {
    .f32 = {.stats = &divergence_stats<float>, .gradient = &divergence_gradient<float>},
    .f64 = {.stats = &divergence_stats<double>, .gradient = &divergence_gradient<double>},
    .interleave = &interleave,
    .transpose = &transpose,
    .transpose_to_bf16 = &transpose_to_bf16,
};

}  // namespace distill::ops::cpu::DISTILL_ISA
