#include "ops/divergence_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/Parallel.h>

#include "ops/divergence_terms.h"
#include "ops/head_and_tail.h"
#include "ops/sparse_classes.h"

namespace distill::ops::cpu {

namespace {

constexpr std::int64_t kValueGap = 8;  // keeps slots on different cache lines
constexpr std::int64_t kRowsForThread = 16;

template <class T>
const DivergenceKernels<T>& kernels_of() {
  return typed_divergence_kernels<T>();
}

template <class T>
std::vector<T> inverse_temperatures(const DivergenceProblem& problem) {
  std::vector<T> inverse;
  for (const double t : problem.temperatures) inverse.push_back(static_cast<T>(1.0 / t));
  return inverse;
}

template <class T>
Transform<T> transform_of(const ModelSide& side) {
  return {static_cast<T>(side.transform.scale), static_cast<T>(side.transform.softcap)};
}

bool any_kind(const DivergenceProblem& problem, auto&& predicate) {
  return std::any_of(problem.terms.begin(), problem.terms.end(), predicate);
}

bool has_dense_reductions(const DivergenceProblem& problem) {
  return problem.has_dense_teacher() &&
         any_kind(problem, [](const LogitTerm& term) { return has_reductions(term.kind); });
}

bool is_apart(const DivergenceProblem& problem, const LogitTerm& term) {
  return problem.sparse.defined() && !problem.sparse.is_sampled() && needs_teacher(term.kind);
}

}  // namespace

template <class T>
DivergenceRows<T>::DivergenceRows(const DivergenceProblem& problem, std::int64_t capacity,
                                  std::int64_t stat_slots, std::int64_t value_slots)
    : problem_(problem),
      kernels_(kernels_of<T>()),
      capacity_(capacity),
      stat_slots_(stat_slots),
      value_slots_(value_slots),
      inverse_temperatures_(inverse_temperatures<T>(problem)),
      wants_thresholds_(
          problem.has_dense_teacher() &&
          any_kind(problem,
                   [](const LogitTerm& t) { return t.kind == LogitTermKind::kAdaptiveKl; })),
      reduces_(has_dense_reductions(problem)),
      wants_last_pass_(problem.needs_gradient() || any_kind(problem,
                                                            [&](const LogitTerm& t) {
                                                              return !has_reductions(t.kind) &&
                                                                     !is_apart(problem, t);
                                                            })),
      wants_whole_(any_kind(problem, [&](const LogitTerm& t) { return !is_apart(problem, t); })),
      wants_apart_(any_kind(problem, [&](const LogitTerm& t) { return is_apart(problem, t); })),
      whole_(stat_slots, wants_whole_ ? capacity : 0, inverse_temperatures_),
      apart_(stat_slots, wants_apart_ ? capacity : 0, inverse_temperatures_),
      teacher_(stat_slots, problem.has_dense_teacher() ? capacity : 0, inverse_temperatures_) {
  const auto count = static_cast<std::int64_t>(problem.terms.size());
  for (std::int64_t i = 0; i < count; ++i) terms_.push_back(term_args<T>(problem, i));
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  row_params_.resize(size(capacity * count * kRowParams));
  if (reduces_) reductions_.resize(size(stat_slots * capacity * count * kMostReductions));
  if (problem.sparse.defined()) {
    held_logits_.resize(size(capacity * problem.sparse.count()));
    held_slopes_.resize(size(capacity * count * problem.sparse.count()));
    sparse_values_.resize(size(capacity * count));
  }
  if (problem.row_weights.defined()) {
    const auto* weights = problem.row_weights.const_data_ptr<double>();
    row_weights_.assign(weights, weights + problem.num_rows);
  }
  finished_.assign(size(count), 0.0);
  values_.assign(size(value_slots * (count + kValueGap)), 0.0);
}

template <class T>
std::int64_t DivergenceRows<T>::bytes_per_row(const DivergenceProblem& problem,
                                              std::int64_t stat_slots) {
  const auto temperatures = static_cast<std::int64_t>(problem.temperatures.size());
  const auto terms = static_cast<std::int64_t>(problem.terms.size());
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
  const std::int64_t models = problem.has_dense_teacher() || problem.sparse.defined() ? 2 : 1;
  std::int64_t bytes = models * RunningStats<T>::bytes_per_row(stat_slots, temperatures);
  bytes += terms * kRowParams * kBytes;
  if (has_dense_reductions(problem)) bytes += stat_slots * terms * kMostReductions * 8;
  if (problem.sparse.defined()) bytes += problem.sparse.count() * (1 + terms) * kBytes + terms * 8;
  return bytes;
}

template <class T>
void DivergenceRows<T>::begin(std::int64_t first_row, std::int64_t rows) {
  first_row_ = first_row;
  rows_ = rows;
  whole_.reset();
  apart_.reset();
  teacher_.reset();
  std::fill(row_params_.begin(), row_params_.end(), T(0));
  std::fill(reductions_.begin(), reductions_.end(), 0.0);
}

template <class T>
void DivergenceRows<T>::update(RunningStats<T>& stats, const Tile<T>& tile, std::int64_t slot) {
  StatsArgs<T> args;
  args.block = {tile.data, tile.stride, tile.columns};
  stats.attach(args, slot, tile.first_row);
  kernels_.stats(args, tile.rows);
}

namespace {

template <class T>
void prepare(const Tile<T>& tile, Transform<T> transform) {
  if (transform.identity() && tile.num_ids == tile.columns) return;
  PrepareArgs<T> args;
  args.block = {tile.data, tile.stride, tile.columns};
  args.valid_columns = tile.num_ids;
  args.transform = transform;
  kernels_of<T>().prepare(args, tile.rows);
}

/// Calls action(row of the tile, place in its list, column) for each held id in the tile.
template <class T, class Action>
void for_held(const SparseTeacher& teacher, const Tile<T>& tile, std::int64_t first_row,
              std::int64_t real_rows, Action action) {
  const std::int64_t count = teacher.count();
  for (std::int64_t row = 0; row < std::min(tile.rows, real_rows - tile.first_row); ++row) {
    const std::int64_t* ids =
        teacher.ids.const_data_ptr<std::int64_t>() + (first_row + tile.first_row + row) * count;
    const std::int64_t* end = ids + count;
    for (const auto* id = std::lower_bound(ids, end, tile.first_id);
         id != end && *id < tile.first_id + tile.num_ids; ++id) {
      action(row, id - ids, *id - tile.first_id);
    }
  }
}

}  // namespace

template <class T>
void DivergenceRows<T>::prepare_student(const Tile<T>& tile) const {
  prepare(tile, transform_of<T>(problem_.student));
}
template <class T>
void DivergenceRows<T>::prepare_teacher(const Tile<T>& tile) const {
  prepare(tile, transform_of<T>(problem_.teacher));
}

template <class T>
void DivergenceRows<T>::add_student(const Tile<T>& tile, std::int64_t stat_slot) {
  prepare_student(tile);
  if (wants_whole_) update(whole_, tile, stat_slot);
  if (!problem_.sparse.defined()) return;
  const std::int64_t count = problem_.sparse.count();
  const auto each = [&](auto action) {
    for_held(problem_.sparse, tile, first_row_, rows_, action);
  };
  each([&](std::int64_t row, std::int64_t place, std::int64_t column) {
    T& logit = tile.data[row * tile.stride + column];
    held_logits_[static_cast<std::size_t>((tile.first_row + row) * count + place)] = logit;
    if (wants_apart_) logit = T(kNoLogit);
  });
  if (!wants_apart_) return;
  update(apart_, tile, stat_slot);
  each([&](std::int64_t row, std::int64_t place, std::int64_t column) {
    tile.data[row * tile.stride + column] =
        held_logits_[static_cast<std::size_t>((tile.first_row + row) * count + place)];
  });
}

template <class T>
void DivergenceRows<T>::add_teacher(const Tile<T>& tile, std::int64_t stat_slot) {
  prepare_teacher(tile);
  update(teacher_, tile, stat_slot);
}

template <class T>
void DivergenceRows<T>::finish_stats(RowRange range) {
  const std::int64_t last = range.first + range.count;
  if (wants_whole_) whole_.finish(range.first, last);
  if (wants_apart_) apart_.finish(range.first, last);
  if (problem_.has_dense_teacher()) teacher_.finish(range.first, last);
  for (std::int64_t t = 0; t < num_terms(); ++t) {
    const LogitTerm& term = problem_.terms[static_cast<std::size_t>(t)];
    if (term.kind != LogitTermKind::kCrossEntropy || term.z_loss == 0) continue;
    for (std::int64_t row = range.first; row < last; ++row) set_z_factor(row, t);
  }
  if (!problem_.sparse.defined()) return;
  at::parallel_for(range.first, last, kRowsForThread, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) finish_sparse_row(row);
  });
  for (std::int64_t row = range.first; row < last; ++row) {
    for (std::int64_t t = 0; t < num_terms(); ++t) {
      finished_[static_cast<std::size_t>(t)] +=
          weight(row) * sparse_values_[static_cast<std::size_t>(row * num_terms() + t)];
    }
  }
}

/// z log^2(sum), and 2 z log(sum) for the gradient.
template <class T>
void DivergenceRows<T>::set_z_factor(std::int64_t row, std::int64_t term) {
  const double z = problem_.terms[static_cast<std::size_t>(term)].z_loss;
  const RowStats<T> stats = whole_.from_row(row);
  const auto t = static_cast<std::size_t>(term);
  const double log_sum = static_cast<double>(stats.maxima[0]) +
                         static_cast<double>(stats.log_sums[terms_[t].temperature]);
  params(row, term)[0] = static_cast<T>(2 * z * log_sum);
  finished_[t] += weight(row) * z * log_sum * log_sum;
}

template <class T>
void DivergenceRows<T>::finish_sparse_row(std::int64_t row) {
  const SparseTeacher& teacher = problem_.sparse;
  const std::int64_t count = teacher.count();
  const auto offset = static_cast<std::size_t>(row * count);
  const std::int64_t source = (first_row_ + row) * count;
  std::vector<double> listed(static_cast<std::size_t>(count));
  for (std::int64_t t = 0; t < num_terms(); ++t) {
    const LogitTerm& term = problem_.terms[static_cast<std::size_t>(t)];
    if (!needs_teacher(term.kind)) continue;
    const TermArgs<T>& args = terms_[static_cast<std::size_t>(t)];
    const double inverse = 1.0 / problem_.temperatures[static_cast<std::size_t>(args.temperature)];
    for (std::size_t k = 0; k < listed.size(); ++k) {
      listed[k] = static_cast<double>(held_logits_[offset + k]) * inverse;
    }
    const RowStats<T> stats = (args.apart_from_held ? apart_ : whole_).from_row(row);
    const double log_sum = static_cast<double>(stats.maxima[0]) * inverse +
                           static_cast<double>(stats.log_sums[args.temperature]);
    T* slopes = held_slopes_.data() + (row * num_terms() + t) * count;
    double& value = sparse_values_[static_cast<std::size_t>(row * num_terms() + t)];
    if (teacher.is_sampled()) {
      const auto* weights = teacher.weights.const_data_ptr<double>() + source;
      const auto* log_probs = teacher.log_probs.const_data_ptr<double>() + source;
      double total = 0;
      value = 0;
      for (std::size_t k = 0; k < listed.size(); ++k) {
        total += weights[k];
        if (weights[k] > 0) value += weights[k] * (log_probs[k] - (listed[k] - log_sum));
        slopes[k] = static_cast<T>(-weights[k]);
      }
      params(row, t)[0] = static_cast<T>(total);
      continue;
    }
    const bool others = problem_.vocabulary > count;
    const ClassSlopes classes = slopes_of_classes(
        term, class_term(problem_, t),
        class_log_probs(problem_, first_row_ + row, term.temperature, listed,
                        others ? log_sum : -std::numeric_limits<double>::infinity()));
    value = classes.value;
    for (std::size_t k = 0; k < listed.size(); ++k) slopes[k] = static_cast<T>(classes.slopes[k]);
    params(row, t)[0] = others ? static_cast<T>(classes.slopes.back()) : T(0);
  }
}

template <class T>
void DivergenceRows<T>::set_thresholds(
    RowRange range, const std::function<void(std::int64_t row, T* out)>& copy_row) {
  const std::int64_t last = range.first + range.count;
  at::parallel_for(range.first, last, kRowsForThread, [&](std::int64_t begin, std::int64_t end) {
    std::vector<T> logits(static_cast<std::size_t>(problem_.vocabulary));
    for (std::int64_t row = begin; row < end; ++row) {
      copy_row(row, logits.data());
      const RowStats<T> stats = teacher_.from_row(row);
      for (std::int64_t t = 0; t < num_terms(); ++t) {
        if (problem_.terms[static_cast<std::size_t>(t)].kind != LogitTermKind::kAdaptiveKl)
          continue;
        const TermArgs<T>& term = terms_[static_cast<std::size_t>(t)];
        params(row, t)[0] = head_threshold(
            logits, {stats.maxima[0], stats.log_sums[term.temperature], term.inverse_temperature},
            kHeadMass);
      }
    }
  });
}

template <class T>
PairArgs<T> DivergenceRows<T>::pair(const Tile<T>& student, const Tile<T>& teacher) const {
  PairArgs<T> args;
  args.student = {student.data, student.stride, student.columns};
  args.teacher = {teacher.data, teacher.stride, teacher.columns};
  if (wants_whole_) args.student_stats = whole_.from_row(student.first_row);
  if (wants_apart_) args.apart_stats = apart_.from_row(student.first_row);
  if (problem_.has_dense_teacher()) args.teacher_stats = teacher_.from_row(student.first_row);
  args.num_temperatures = static_cast<std::int64_t>(inverse_temperatures_.size());
  args.terms = terms_.data();
  args.num_terms = num_terms();
  args.row_params = row_params_.data() + student.first_row * num_terms() * kRowParams;
  return args;
}

template <class T>
void DivergenceRows<T>::reduce(const Tile<T>& student, const Tile<T>& teacher,
                               std::int64_t stat_slot) {
  ReduceArgs<T> args;
  args.pair = pair(student, teacher);
  args.sums = reductions_.data() +
              (stat_slot * capacity_ + student.first_row) * num_terms() * kMostReductions;
  kernels_.reduce(args, student.rows);
}

template <class T>
void DivergenceRows<T>::finish_reductions(RowRange range) {
  for (std::int64_t row = range.first; row < range.first + range.count; ++row) {
    for (std::int64_t t = 0; t < num_terms(); ++t) {
      const LogitTerm& term = problem_.terms[static_cast<std::size_t>(t)];
      if (!has_reductions(term.kind)) continue;
      double sums[kMostReductions] = {};
      for (std::int64_t slot = 0; slot < stat_slots_; ++slot) {
        const double* part =
            reductions_.data() + ((slot * capacity_ + row) * num_terms() + t) * kMostReductions;
        for (std::int64_t i = 0; i < kMostReductions; ++i) sums[i] += part[i];
      }
      const Reduced of_row = reduced(term, sums);
      for (std::int64_t i = 0; i < kRowParams; ++i) {
        params(row, t)[i] = static_cast<T>(of_row.params[i]);
      }
      finished_[static_cast<std::size_t>(t)] += weight(row) * of_row.value;
    }
  }
}

template <class T>
void DivergenceRows<T>::gradient(const Tile<T>& student, const Tile<T>& teacher,
                                 std::int64_t value_slot, T* scratch, const Bf16Rows& out) {
  GradientArgs<T> args;
  args.pair = pair(student, teacher);
  args.transform = transform_of<T>(problem_.student);
  const std::int64_t row = first_row_ + student.first_row;
  if (problem_.sparse.defined()) {
    const std::int64_t count = problem_.sparse.count();
    args.held.ids = problem_.sparse.ids.const_data_ptr<std::int64_t>() + row * count;
    args.held.count = count;
    args.held.logits = held_logits_.data() + student.first_row * count;
    args.held.slopes = held_slopes_.data() + student.first_row * num_terms() * count;
  }
  if (!row_weights_.empty()) args.row_weights = row_weights_.data() + row;
  if (problem_.labels.defined()) {
    args.labels = problem_.labels.const_data_ptr<std::int64_t>() + row;
  }
  args.first_column = student.first_id;
  args.gradient = out.data;
  args.gradient_stride = out.stride;
  args.scratch = scratch;
  args.values = values_.data() + value_slot * (num_terms() + kValueGap);
  kernels_.gradient(args, student.rows);
}

template <class T>
std::vector<double> DivergenceRows<T>::values() const {
  std::vector<double> sums = finished_;
  for (std::int64_t slot = 0; slot < value_slots_; ++slot) {
    const double* part = values_.data() + slot * (num_terms() + kValueGap);
    for (std::size_t t = 0; t < sums.size(); ++t) sums[t] += part[t];
  }
  return sums;
}

std::int64_t num_slots() {
  return at::get_num_threads();
}

template class DivergenceRows<float>;
template class DivergenceRows<double>;

}  // namespace distill::ops::cpu
