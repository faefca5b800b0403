#include <distill/ops/compare_logits.h>

#include <algorithm>
#include <array>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>

#include "ops/cpu/divergence_table.h"
#include "ops/cpu/round_up.h"
#include "ops/kernel_call.h"
#include "ops/running_stats.h"

namespace distill::ops {

namespace {

constexpr const char* kOp = "compare_logits";
constexpr std::int64_t kBlock = 2048;  // ids; two blocks stay in the first-level cache

/// Rows of logits, in blocks that the kernels can read.
template <class T>
class Blocks {
 public:
  explicit Blocks(const at::Tensor& logits)
      : logits_(logits.contiguous()), ids_(logits.size(1)), data_(read<T>(logits_)) {}

  std::int64_t rows() const { return logits_.size(0); }
  std::int64_t ids() const { return ids_; }
  T at(std::int64_t row, std::int64_t id) const { return data_[row * ids_ + id]; }
  /// Its first id of those before `ids`.
  std::int64_t first_of(std::int64_t row, std::int64_t ids, T value) const {
    const T* begin = data_ + row * ids_;
    return std::find(begin, begin + ids, value) - begin;
  }
  /// Ids [begin, end) of a row, -inf as a number with which can be reckoned.
  cpu::LogitBlock<T> copy(std::int64_t row, std::int64_t begin, std::int64_t end, T* out) const {
    const T* in = data_ + row * ids_ + begin;
    const std::int64_t count = end - begin, padded = cpu::round_up(count, cpu::kColumnStep);
    constexpr T kNone = cpu::kNoLogit;
    // Written so that NaN stays.
    std::transform(in, in + count, out, [](T x) { return x < kNone ? kNone : x; });
    std::fill(out + count, out + padded, kNone);
    return {out, padded, padded};
  }

 private:
  at::Tensor logits_;
  std::int64_t ids_;
  const T* data_;
};

/// Of the first `ids` ids of all rows, at temperature 1. Each block has sums of its own: beside
/// those of a likely id the many unlikely ones would be rounded away.
template <class T>
cpu::RunningStats<T> stats_of(const Blocks<T>& logits, std::int64_t ids) {
  const auto& kernels = cpu::typed_divergence_kernels<T>();
  cpu::RunningStats<T> stats((ids + kBlock - 1) / kBlock, logits.rows(), {T(1)});
  stats.reset();
  at::parallel_for(0, logits.rows(), rows_per_task(ids), [&](std::int64_t begin, std::int64_t end) {
    std::array<T, kBlock> copy;
    for (std::int64_t row = begin; row < end; ++row) {
      cpu::StatsArgs<T> args;
      for (std::int64_t first = 0; first < ids; first += kBlock) {
        stats.attach(args, first / kBlock, row);
        args.block = logits.copy(row, first, std::min(first + kBlock, ids), copy.data());
        kernels.stats(args, 1);
      }
    }
  });
  stats.finish(0, logits.rows());
  return stats;
}

template <class T>
double nll(const Blocks<T>& logits, const cpu::RunningStats<T>& stats, const std::int64_t* labels) {
  double sum = 0;
  for (std::int64_t row = 0; row < logits.rows(); ++row) {
    const cpu::RowStats<T> of_row = stats.from_row(row);
    const double logit = logits.at(row, labels[row]);
    sum += static_cast<double>(*of_row.log_sums) + static_cast<double>(*of_row.maxima) - logit;
  }
  return sum;
}

/// Rows of both models over the ids that both have.
template <class T>
struct Pair {
  const Blocks<T>& teacher;
  const Blocks<T>& student;
  const cpu::RunningStats<T>& teacher_stats;
  const cpu::RunningStats<T>& student_stats;
  std::int64_t ids;

  double kl(std::int64_t row) const {
    const auto& kernels = cpu::typed_divergence_kernels<T>();
    const cpu::TermArgs<T> term;  // forward KL at temperature 1
    constexpr std::array<T, cpu::kRowParams> kParams{};
    std::array<T, kBlock> t, s, slopes;
    double value = 0;
    cpu::GradientArgs<T> args;
    args.pair.student_stats = student_stats.from_row(row);
    args.pair.teacher_stats = teacher_stats.from_row(row);
    args.pair.num_temperatures = 1;
    args.pair.terms = &term;
    args.pair.num_terms = 1;
    args.pair.row_params = kParams.data();
    args.scratch = slopes.data();
    args.values = &value;
    for (std::int64_t first = 0; first < ids; first += kBlock) {
      const std::int64_t last = std::min(first + kBlock, ids);
      args.pair.teacher = teacher.copy(row, first, last, t.data());
      args.pair.student = student.copy(row, first, last, s.data());
      kernels.gradient(args, 1);
    }
    return value;
  }

  bool agrees(std::int64_t row) const {
    return teacher.first_of(row, ids, *teacher_stats.from_row(row).maxima) ==
           student.first_of(row, ids, *student_stats.from_row(row).maxima);
  }
};

template <class T>
void add_pairs(const Pair<T>& pair, LogitComparison& sums) {
  const std::int64_t rows = pair.teacher.rows();
  std::vector<double> kl(static_cast<std::size_t>(rows));
  std::vector<char> agrees(static_cast<std::size_t>(rows));
  at::parallel_for(0, rows, rows_per_task(pair.ids), [&](std::int64_t begin, std::int64_t end) {
    for (auto row = static_cast<std::size_t>(begin); row < static_cast<std::size_t>(end); ++row) {
      kl[row] = pair.kl(static_cast<std::int64_t>(row));
      agrees[row] = pair.agrees(static_cast<std::int64_t>(row)) ? 1 : 0;
    }
  });
  for (const double of_row : kl) sums.kl += of_row;
  for (const char agreed : agrees) sums.agreed += agreed;
}

template <class T>
LogitComparison compare_on_cpu(const at::Tensor& teacher, const at::Tensor& student,
                               const at::Tensor& labels) {
  const Blocks<T> t(teacher), s(student);
  const at::Tensor own = labels.contiguous();
  const cpu::RunningStats<T> of_t = stats_of(t, t.ids()), of_s = stats_of(s, s.ids());
  LogitComparison sums;
  sums.teacher_nll = nll(t, of_t, own.const_data_ptr<std::int64_t>());
  sums.student_nll = nll(s, of_s, own.const_data_ptr<std::int64_t>());
  const std::int64_t shared = std::min(t.ids(), s.ids());
  if (t.ids() == s.ids()) {
    add_pairs<T>({t, s, of_t, of_s, shared}, sums);
  } else {
    add_pairs<T>({t, s, stats_of(t, shared), stats_of(s, shared), shared}, sums);
  }
  return sums;
}

double total(const at::Tensor& values) {
  return at::sum(values, at::kDouble).item<double>();
}

double nll(const at::Tensor& logits, const at::Tensor& labels) {
  const at::Tensor of_label = at::gather(logits, 1, labels.unsqueeze(1)).squeeze(1);
  return total(at::logsumexp(logits, {1}) - of_label);
}

/// Sum of p_t (exp(-d) - 1 + d), d = log p_t - log p_s. No term is negative, and errors of the two
/// normalisers cancel to first order, so small divergences keep their digits. Where the student is
/// far above the teacher exp(-d) could overflow, and p_t exp(-d) is p_s anyway.
double kl(const at::Tensor& log_teacher, const at::Tensor& log_student) {
  // Below -1e4 p_t is 0: the clamp only keeps 0 * -inf away.
  const at::Tensor d = (log_teacher - log_student).clamp_min(-1e4);
  const at::Tensor p = at::exp(log_teacher);
  const at::Tensor near = p * (at::expm1(-d) + d);
  const at::Tensor far = at::exp(log_student) - p + p * d;
  return total(at::where(d > -1, near, far));
}

LogitComparison compare_on_device(const at::Tensor& teacher, const at::Tensor& student,
                                  const at::Tensor& labels) {
  const std::int64_t shared = std::min(teacher.size(1), student.size(1));
  const at::Tensor t = teacher.narrow(1, 0, shared), s = student.narrow(1, 0, shared);
  LogitComparison sums;
  sums.kl = kl(at::log_softmax(t, 1), at::log_softmax(s, 1));
  sums.teacher_nll = nll(teacher, labels);
  sums.student_nll = nll(student, labels);
  sums.agreed = at::eq(at::argmax(t, 1), at::argmax(s, 1)).sum().item<std::int64_t>();
  return sums;
}

void check_logits(const at::Tensor& logits, const char* name, std::int64_t rows) {
  TORCH_CHECK(logits.dim() == 2 && logits.size(0) == rows && logits.size(1) > 0, kOp, ": `", name,
              "` must be [", rows, ", ids], is ", logits.sizes());
  TORCH_CHECK(logits.scalar_type() == at::kFloat || logits.scalar_type() == at::kDouble, kOp, ": `",
              name, "` is ", logits.scalar_type(), ", expected Float or Double");
}

void check_labels(const at::Tensor& labels, std::int64_t rows, std::int64_t ids) {
  TORCH_CHECK(labels.defined() && labels.scalar_type() == at::kLong && labels.dim() == 1 &&
                  labels.size(0) == rows,
              kOp, ": `labels` must be int64 [", rows, "]");
  if (rows == 0) return;
  const auto [least, largest] = at::aminmax(labels);
  TORCH_CHECK(least.item<std::int64_t>() >= 0 && largest.item<std::int64_t>() < ids, kOp,
              ": `labels` must lie in [0, ", ids, "), are from ", least.item<std::int64_t>(),
              " to ", largest.item<std::int64_t>());
}

}  // namespace

LogitComparison compare_logits(const at::Tensor& teacher, const at::Tensor& student,
                               const at::Tensor& labels) {
  check_float(teacher, kOp, "teacher");
  check_same_type(student, teacher, kOp, "student");
  const std::int64_t rows = teacher.dim() == 2 ? teacher.size(0) : 0;
  check_logits(teacher, "teacher", rows);
  check_logits(student, "student", rows);
  check_labels(labels, rows, std::min(teacher.size(1), student.size(1)));
  check_same_device(labels, teacher, kOp, "labels");
  if (rows == 0) return {};
  if (!teacher.is_cpu()) return compare_on_device(teacher, student, labels);
  return teacher.scalar_type() == at::kDouble ? compare_on_cpu<double>(teacher, student, labels)
                                              : compare_on_cpu<float>(teacher, student, labels);
}

}  // namespace distill::ops
