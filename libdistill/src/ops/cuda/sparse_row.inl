// A teacher known at K ids of a row, and the student beside it, as distributions over K + 1
// classes: the ids, and all others as one. All in double (the host's form of it is
// ops/sparse_classes.h).

#include "ops/cuda/row_parts.inl"

namespace distill::ops::cuda {

/// log(e^x(0) + e^x(1) + ...); -infinity for nothing.
template <class Block, class Number>
DISTILL_BLOCK double log_sum_exp(Block& block, std::int64_t count, Number x) {
  double largest = -HUGE_VAL;
  for (std::int64_t i = block.thread(); i < count; i += block.size()) {
    const double next = x(i);
    largest = largest > next ? largest : next;
  }
  largest = block.max(largest);
  if (largest == -HUGE_VAL) return largest;
  double total = 0;
  for (std::int64_t i = block.thread(); i < count; i += block.size()) {
    total += ::exp(x(i) - largest);
  }
  return largest + ::log(block.sum(total));
}

/// log(1 - e^x), x <= 0, without cancelling at either end (Maechler 2012, "Accurately computing
/// log(1 - exp(-|a|))").
DISTILL_INLINE double log_one_minus_exp(double x) {
  if (x >= 0) return -HUGE_VAL;
  return x > -0.6931471805599453 ? ::log(-::expm1(x)) : ::log1p(-::exp(x));
}

/// Log-probabilities of one model over the classes; kNoLogit stands for log 0.
template <class Listed>
struct Classes {
  Listed listed;
  std::int64_t count;
  double others;
  double total = 0;

  DISTILL_INLINE double weight(std::int64_t k) const { return k < count ? listed(k) : others; }
  DISTILL_INLINE double operator()(std::int64_t k) const {
    const double x = weight(k) - total;
    return x > static_cast<double>(kNoLogit) ? x : static_cast<double>(kNoLogit);
  }
};

template <class Block, class Listed>
DISTILL_BLOCK Classes<Listed> classes_of(Block& block, Listed listed, std::int64_t count,
                                         double others) {
  Classes<Listed> classes{listed, count, others};
  classes.total = log_sum_exp(block, count + 1, [&](std::int64_t k) { return classes.weight(k); });
  return classes;
}

/// A term with all it reads of one row.
template <class T>
struct SparseTerm {
  const Term<T>* term;
  const T* logits;          ///< [K], the student's
  const double* log_probs;  ///< [K]
  double log_sum;           ///< of the student's other ids (samples: of all), at the temperature
  T* slopes;                ///< [K]
  T* params;
  double* value;
};

template <class T, class Block>
DISTILL_BLOCK void sampled_term(Block& block, const HeldRows<T>& held, const double* weights,
                                const SparseTerm<T>& of) {
  double total = 0;
  double value = 0;
  for (std::int64_t k = block.thread(); k < held.count; k += block.size()) {
    const double log_s =
        static_cast<double>(of.logits[k]) * of.term->inverse_temperature - of.log_sum;
    total += weights[k];
    if (weights[k] > 0) value += weights[k] * (of.log_probs[k] - log_s);
    of.slopes[k] = static_cast<T>(-weights[k]);
  }
  total = block.sum(total);
  value = block.sum(value);
  if (block.thread() != 0) return;
  of.params[0] = static_cast<T>(total);
  *of.value += value;
}

/// Value and slopes of a kind over the classes; `threshold` is where the teacher's head begins.
template <class Kind, class T, class Block, class Student, class Teacher>
DISTILL_BLOCK void classes_term(Block& block, const Student& student, const Teacher& teacher,
                                double threshold, const SparseTerm<T>& of) {
  using V = Number<double>;
  const std::int64_t classes = student.count + 1;
  const auto log_probs = [&](std::int64_t k) { return LogProbs<V>{{student(k)}, {teacher(k)}}; };
  TermRow<V> row;
  for (V& param : row.params) param = V::broadcast(0);
  row.teacher_share = V::broadcast(static_cast<double>(of.term->args.teacher_share));
  row.smoothing = V::broadcast(0);
  row.threshold = V::broadcast(threshold);
  double value = 0;
  if constexpr (Kind::kReductions > 0) {
    V sums[Kind::kReductions];
    for (V& part : sums) part = V::broadcast(0);
    for (std::int64_t k = block.thread(); k < classes; k += block.size()) {
      Kind::reduce(log_probs(k), row, sums);
    }
    double totals[kMostReductions] = {};
    for (int i = 0; i < Kind::kReductions; ++i) totals[i] = block.sum(sums[i].v);
    const cpu::Reduced result = cpu::reduced(of.term->rule, totals);
    value = result.value;
    for (std::int64_t i = 0; i < kRowParams; ++i) row.params[i].v = result.params[i];
  }
  V step_value = V::broadcast(0);
  for (std::int64_t k = block.thread(); k < classes; k += block.size()) {
    const T slope = static_cast<T>(Kind::step(log_probs(k), row, step_value).v);
    if (k < student.count) {
      of.slopes[k] = slope;
    } else {
      of.params[0] = student.others == -HUGE_VAL ? T(0) : slope;
    }
  }
  if constexpr (Kind::kReductions == 0) value = block.sum(step_value.v);
  if (block.thread() == 0) *of.value += value;
}

template <class T, class Block>
DISTILL_BLOCK void top_k_term(Block& block, const HeldRows<T>& held, std::int64_t vocabulary,
                              const SparseTerm<T>& of) {
  const double inverse = of.term->inverse_temperature;
  const std::int64_t num_others = vocabulary - held.count;
  const auto student = classes_of(
      block, [&](std::int64_t k) { return static_cast<double>(of.logits[k]) * inverse; },
      held.count, num_others > 0 ? of.log_sum : -HUGE_VAL);
  const double ratio = held.temperature * inverse;
  const bool same = ratio == 1.0;
  double others = -HUGE_VAL;
  if (num_others > 0) {
    const double listed =
        log_sum_exp(block, held.count, [&](std::int64_t k) { return of.log_probs[k]; });
    others = ::fmax(log_one_minus_exp(listed), cpu::kLeastLogRest);
    // At another temperature what is not listed is taken to be spread evenly.
    const double spread = ::log(static_cast<double>(num_others));
    if (!same && others > -HUGE_VAL) others = spread + ratio * (others - spread);
  }
  const auto teacher = classes_of(
      block, [&](std::int64_t k) { return same ? of.log_probs[k] : of.log_probs[k] * ratio; },
      held.count, others);
  double threshold = 0;
  if (of.term->rule.adaptive) {
    threshold = head_threshold<double>(block, held.count + 1, cpu::kHeadMass,
                                       [&](std::int64_t k) { return Number<double>{teacher(k)}; });
  }
  with_kind(of.term->rule.kind, [&]<class Kind>() {
    if constexpr (Kind::kNeedsTeacher) classes_term<Kind>(block, student, teacher, threshold, of);
  });
}

/// Keeps the student's logits at the held ids, takes statistics without them, and works out each
/// term that compares with the teacher.
template <class T, class Block>
DISTILL_BLOCK void sparse_row(Block& block, const Chunk<T>& chunk, const Terms<T>& terms,
                              std::int64_t row) {
  const HeldRows<T>& held = chunk.held;
  const std::int64_t* ids = held.ids + row * held.count;
  T* logits = held.logits + row * held.count;
  T* x = chunk.student.logits + row * chunk.stride;
  const bool sampled = held.weights != nullptr;
  for (std::int64_t k = block.thread(); k < held.count; k += block.size()) {
    logits[k] = x[ids[k]];
    if (!sampled) x[ids[k]] = T(kNoLogit);
  }
  block.sync();
  if (!sampled) {
    statistics_of_row(block, x, chunk.vocabulary, terms, held.maxima + row,
                      held.log_sums + row * terms.num_temperatures);
    for (std::int64_t k = block.thread(); k < held.count; k += block.size()) x[ids[k]] = logits[k];
  }
  for (std::int64_t t = 0; t < terms.count; ++t) {
    const Term<T>& term = terms.items[t];
    if (term.args.kind != TermKind::kSharedSlope) continue;
    const T* maxima = sampled ? chunk.student.maxima : held.maxima;
    const T* log_sums = sampled ? chunk.student.log_sums : held.log_sums;
    const double log_sum =
        static_cast<double>(maxima[row]) * term.inverse_temperature +
        static_cast<double>(log_sums[row * terms.num_temperatures + term.args.temperature]);
    const SparseTerm<T> of{&term,
                           logits,
                           held.log_probs + row * held.count,
                           log_sum,
                           held.slopes + (row * terms.count + t) * held.count,
                           params_of(chunk, terms, row, t),
                           chunk.values + row * terms.count + t};
    if (sampled) {
      sampled_term(block, held, held.weights + row * held.count, of);
    } else {
      top_k_term(block, held, chunk.vocabulary, of);
    }
  }
}

}  // namespace distill::ops::cuda
