// The passes over one row, by a block of threads. `Block` is what a device gives them:
//   thread(), size()      which of how many
//   sync()                waits for all
//   sum(double), max(T)   over all threads, in a fixed order; every thread gets the result, and
//                         writes from before are seen after
// Every thread calls every one of them. Tests run the same code with threads of the CPU.

#include "ops/cuda/row_parts.inl"
#include "ops/cuda/sparse_row.inl"

namespace distill::ops::cuda {

// First pass.

/// z log^2(sum), and 2 z log(sum) for the gradient; by one thread.
template <class T>
DISTILL_INLINE void set_z_factors(const Chunk<T>& chunk, const Terms<T>& terms, std::int64_t row) {
  for (std::int64_t t = 0; t < terms.count; ++t) {
    const Term<T>& term = terms.items[t];
    if (term.z_loss == 0) continue;
    const double log_sum =
        static_cast<double>(chunk.student.maxima[row]) +
        static_cast<double>(
            chunk.student.log_sums[row * terms.num_temperatures + term.args.temperature]);
    params_of(chunk, terms, row, t)[0] = static_cast<T>(2 * term.z_loss * log_sum);
    chunk.values[row * terms.count + t] += term.z_loss * log_sum * log_sum;
  }
}

template <class T, class Block>
DISTILL_BLOCK void teacher_row(Block& block, const Chunk<T>& chunk, const Terms<T>& terms,
                               std::int64_t row) {
  const ModelRows<T>& model = chunk.teacher;
  T* x = model.logits + row * chunk.stride;
  transform_row(block, x, chunk.vocabulary, model.transform);
  statistics_of_row(block, x, chunk.vocabulary, terms, model.maxima + row,
                    model.log_sums + row * terms.num_temperatures);
}

template <class T, class Block>
DISTILL_BLOCK void student_row(Block& block, const Chunk<T>& chunk, const Terms<T>& terms,
                               std::int64_t row) {
  const ModelRows<T>& model = chunk.student;
  T* x = model.logits + row * chunk.stride;
  transform_row(block, x, chunk.vocabulary, model.transform);
  statistics_of_row(block, x, chunk.vocabulary, terms, model.maxima + row,
                    model.log_sums + row * terms.num_temperatures);
  if (block.thread() == 0) set_z_factors(chunk, terms, row);
}

// Between the passes.

/// Where the teacher's head begins, for adaptive terms.
template <class T, class Block>
DISTILL_BLOCK void threshold_row(Block& block, const Chunk<T>& chunk, const Terms<T>& terms,
                                 std::int64_t row) {
  const T* teacher = chunk.teacher.logits + row * chunk.stride;
  for (std::int64_t t = 0; t < terms.count; ++t) {
    const Term<T>& term = terms.items[t];
    if (!term.rule.adaptive) continue;
    const RowLogProbs<T> log_p(chunk.teacher.maxima, chunk.teacher.log_sums, terms, term.args, row);
    const T threshold = head_threshold<T>(block, chunk.vocabulary, cpu::kHeadMass,
                                          [&](std::int64_t i) { return log_p(teacher[i]); });
    if (block.thread() == 0) params_of(chunk, terms, row, t)[0] = threshold;
  }
}

template <class T, class Block>
DISTILL_BLOCK void reduce_row(Block& block, const Chunk<T>& chunk, const Terms<T>& terms,
                              std::int64_t row) {
  using V = Number<T>;
  const T* student = chunk.student.logits + row * chunk.stride;
  const T* teacher = chunk.teacher.logits + row * chunk.stride;
  for (std::int64_t t = 0; t < terms.count; ++t) {
    const Term<T>& term = terms.items[t];
    with_kind(term.args.kind, [&]<class Kind>() {
      if constexpr (Kind::kReductions > 0) {
        const RowLogProbs<T> log_s = student_log_probs(chunk, terms, term.args, row);
        const RowLogProbs<T> log_p(chunk.teacher.maxima, chunk.teacher.log_sums, terms, term.args,
                                   row);
        T* params = params_of(chunk, terms, row, t);
        const TermRow<V> of_row = term_row<V>(term.args, params);
        V sums[Kind::kReductions];
        for (V& part : sums) part = V::broadcast(0);
        double totals[kMostReductions] = {};
        for_sums(
            block, chunk.vocabulary,
            [&](std::int64_t i) {
              Kind::reduce(LogProbs<V>{log_s(student[i]), log_p(teacher[i])}, of_row, sums);
            },
            [&] {
              for (int k = 0; k < Kind::kReductions; ++k) {
                totals[k] += static_cast<double>(sums[k].v);
                sums[k] = V::broadcast(0);
              }
            });
        for (int k = 0; k < Kind::kReductions; ++k) totals[k] = block.sum(totals[k]);
        if (block.thread() != 0) return;
        const cpu::Reduced result = cpu::reduced(term.rule, totals);
        for (std::int64_t i = 0; i < kRowParams; ++i) params[i] = static_cast<T>(result.params[i]);
        chunk.values[row * terms.count + t] += result.value;
      }
    });
  }
}

// Last pass.

/// Adds a term's gradient at `Count` ids to `gradient` and what they are worth to `value`. Ids at
/// or behind `end` do not count; `ids_apart` lie between two of them.
template <int Count, class T>
struct Ids {
  std::int64_t first;
  std::int64_t apart;
  std::int64_t end;
  T student[Count];
  T teacher[Count];
  T gradient[Count];

  DISTILL_INLINE std::int64_t id(int k) const { return first + k * apart; }
  DISTILL_INLINE bool counts(int k) const { return id(k) < end; }
};

template <int Count, class T>
DISTILL_BLOCK T add_term(const Chunk<T>& chunk, const Terms<T>& terms, std::int64_t t,
                         std::int64_t row, Ids<Count, T>& ids) {
  using V = Number<T>;
  const cpu::TermArgs<T>& term = terms.items[t].args;
  const T weight = chunk.row_weights != nullptr ? static_cast<T>(chunk.row_weights[row]) : T(1);
  const RowLogProbs<T> log_s = student_log_probs(chunk, terms, term, row);
  const TermRow<V> of_row = term_row<V>(term, params_of(chunk, terms, row, t));
  V value = V::broadcast(0);
  with_kind(term.kind, [&]<class Kind>() {
    LogProbs<V> log_probs[Count];
    for (int k = 0; k < Count; ++k) {
      log_probs[k].student = log_s(ids.student[k]);
      log_probs[k].teacher = log_probs[k].student;
    }
    if constexpr (Kind::kNeedsTeacher) {
      const RowLogProbs<T> log_p(chunk.teacher.maxima, chunk.teacher.log_sums, terms, term, row);
      for (int k = 0; k < Count; ++k) log_probs[k].teacher = log_p(ids.teacher[k]);
    }
    for (int k = 0; k < Count; ++k) {
      if (!ids.counts(k)) continue;
      T slope = Kind::step(log_probs[k], of_row, value).v;
      if (is_cross_entropy(term.kind) && ids.id(k) == chunk.labels[row]) {
        slope -= term.label_weight;
        value.v -= term.label_weight * log_probs[k].student.v;
      }
      ids.gradient[k] += slope * (term.coefficient * weight);
    }
  });
  return value.v;
}

/// From the gradient with respect to transformed logits to that of the raw ones.
template <class T>
DISTILL_INLINE T through_transform(T gradient, T x, const Transform<T>& transform) {
  gradient *= transform.scale;
  if (transform.softcap == T(0)) return gradient;
  const T ratio = x * (T(1) / transform.softcap);
  return gradient * max(Number<T>{T(0)}, Number<T>{T(1) - ratio * ratio}).v;
}

template <int Count, class T>
DISTILL_BLOCK void store_gradient(const Chunk<T>& chunk, const GradientOut<T>& out,
                                  std::int64_t row, const Ids<Count, T>& ids) {
  for (int k = 0; k < Count; ++k) {
    if (!ids.counts(k)) continue;
    const T x = through_transform(ids.gradient[k], ids.student[k], chunk.student.transform);
    const std::int64_t place = row * chunk.stride + ids.id(k);
    if (out.same != nullptr) out.same[place] = x;
    if (out.bf16 != nullptr) out.bf16[place] = cpu::scalar::to_bf16(static_cast<float>(x));
  }
}

/// The ids a sparse teacher is known at have slopes of their own in place of the shared one (or
/// beside it, where it includes them): the whole gradient is formed there again.
template <class T, class Block>
DISTILL_BLOCK void correct_held_ids(Block& block, const Chunk<T>& chunk, const Terms<T>& terms,
                                    std::int64_t row, const GradientOut<T>& out) {
  const HeldRows<T>& held = chunk.held;
  const T weight = chunk.row_weights != nullptr ? static_cast<T>(chunk.row_weights[row]) : T(1);
  for (std::int64_t k = block.thread(); k < held.count; k += block.size()) {
    const std::int64_t id = held.ids[row * held.count + k];
    Ids<1, T> one{id, 1, chunk.vocabulary, {held.logits[row * held.count + k]}, {}, {}};
    for (std::int64_t t = 0; t < terms.count; ++t) {
      const cpu::TermArgs<T>& term = terms.items[t].args;
      if (!term.apart_from_held) add_term(chunk, terms, t, row, one);
      if (term.kind != TermKind::kSharedSlope) continue;
      const T slope = held.slopes[(row * terms.count + t) * held.count + k];
      one.gradient[0] += weight * term.coefficient * slope;
    }
    store_gradient(chunk, out, row, one);
  }
}

template <class T, class Block>
DISTILL_BLOCK void gradient_row(Block& block, const Chunk<T>& chunk, const Terms<T>& terms,
                                std::int64_t row, const GradientOut<T>& out) {
  const T* student = chunk.student.logits + row * chunk.stride;
  const T* teacher =
      chunk.teacher.logits != nullptr ? chunk.teacher.logits + row * chunk.stride : student;
  T values[kMostTerms] = {};
  for (std::int64_t first = block.thread(); first < chunk.vocabulary;
       first += kIdsAtOnce * block.size()) {
    Ids<kIdsAtOnce, T> ids{first, block.size(), chunk.vocabulary, {}, {}, {}};
    for (int k = 0; k < kIdsAtOnce; ++k) {
      if (!ids.counts(k)) continue;
      ids.student[k] = student[ids.id(k)];
      ids.teacher[k] = teacher[ids.id(k)];
    }
    for (std::int64_t t = 0; t < terms.count; ++t) values[t] += add_term(chunk, terms, t, row, ids);
    store_gradient(chunk, out, row, ids);
  }
  for (std::int64_t t = 0; t < terms.count; ++t) {
    if (!has_step_value(terms.items[t].args.kind)) continue;
    const double value = block.sum(static_cast<double>(values[t]));
    if (block.thread() == 0) chunk.values[row * terms.count + t] += value;
  }
  if (chunk.held.ids == nullptr) return;
  block.sync();
  correct_held_ids(block, chunk, terms, row, out);
}

}  // namespace distill::ops::cuda
