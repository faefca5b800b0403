#include <distill/eval/evaluate.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/max.h>
#include <ATen/ops/nonzero.h>

#include <distill/core/error.h>

#include "eval/dataset_batch.h"
#include "eval/logit_rows.h"
#include "eval/teacher_answer.h"
#include "eval/token_sums.h"

namespace distill::eval {

namespace {

template <class Action>
auto timed(double& seconds, Action&& action) {
  const auto start = std::chrono::steady_clock::now();
  auto result = action();
  seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

/// What one rank has measured so far.
class Measurement {
 public:
  Measurement(models::CausalLm& student, teachers::Teacher* teacher)
      : student_(student), teacher_(teacher) {}

  void add(const types::Batch& batch) {
    if (batch.num_targets == 0) return;
    const auto largest = at::max(batch.input.input_ids).item<std::int64_t>();
    check_ids(largest, student_.shape().vocab_size, "student");
    const auto student =
        timed(student_seconds_, [&] { return LogitRows(student_.forward(batch.input)); });
    std::optional<TeacherAnswer> teacher;
    if (teacher_ != nullptr) {
      teacher.emplace(timed(teacher_seconds_, [&] { return TeacherAnswer(*teacher_, batch); }));
      check_ids(largest, teacher->vocab_size(), "teacher");
    }
    const at::Tensor positions = at::nonzero(batch.loss_mask).squeeze(1);
    vocabulary_ = batch.vocabulary;
    const std::int64_t step = rows_at_a_time(
        std::max(student.vocab_size(), teacher ? teacher->vocab_size() : std::int64_t{0}));
    for (std::int64_t begin = 0; begin < positions.size(0); begin += step) {
      const auto rows = positions.narrow(0, begin, std::min(step, positions.size(0) - begin));
      add_rows(student, teacher, rows, at::index_select(batch.labels, 0, rows));
    }
    tokens_ += batch.num_targets;
  }

  Evaluation result(dist::Communicator& ranks) {
    std::array<double, 7> sums = {sums_.student_nll, sums_.teacher_nll, sums_.kl,      sums_.agreed,
                                  student_seconds_,  teacher_seconds_,  sums_.top_k_kl};
    std::array<std::int64_t, 4> tokens = {tokens_, sums_.full_rows, sums_.top_k_rows,
                                          sums_.agreement_rows};
    ranks.all_reduce_sum(std::span<double>(sums));
    ranks.all_reduce_sum(std::span<std::int64_t>(tokens));
    const auto count = static_cast<double>(tokens[0]);
    Evaluation result;
    result.tokens = tokens[0];
    result.perplexity = std::exp(sums[0] / count);
    // A figure is given where the teacher's answers allowed it at every position.
    if (tokens[1] == tokens[0]) {
      result.teacher_perplexity = std::exp(sums[1] / count);
      result.kl_to_teacher = sums[2] / count;
    }
    if (tokens[2] == tokens[0]) result.top_k_kl_to_teacher = sums[6] / count;
    if (tokens[3] == tokens[0]) result.top1_agreement = sums[3] / count;
    result.student_seconds = sums[4];
    result.teacher_seconds = sums[5];
    return result;
  }

 private:
  void add_rows(const LogitRows& student, const std::optional<TeacherAnswer>& teacher,
                const at::Tensor& rows, const at::Tensor& labels) {
    const at::Tensor s =
        timed(student_seconds_, [&] { return real_ids(student.select(rows), vocabulary_); });
    const at::Tensor at_rows = labels.to(s.device());
    if (!teacher) return add_nll(s, at_rows, sums_.student_nll);
    if (const auto top_k = teacher->top_k(rows, s.device())) add_top_k_comparison(*top_k, s, sums_);
    const auto full = timed(teacher_seconds_, [&] { return teacher->full(rows); });
    if (!full) return add_nll(s, at_rows, sums_.student_nll);
    add_comparison(real_ids(*full, vocabulary_).to(s.device()), s, at_rows, sums_);
  }

  models::CausalLm& student_;
  teachers::Teacher* teacher_;
  TokenSums sums_;
  std::int64_t tokens_ = 0;
  std::int64_t vocabulary_ = 0;  // of the batch's tokenizer
  double student_seconds_ = 0;
  double teacher_seconds_ = 0;
};

}  // namespace

Evaluation evaluate(models::CausalLm& student, teachers::Teacher* teacher,
                    const data::Dataset& dataset, dist::Communicator& ranks,
                    const EvaluateOptions& options) {
  if (options.rows_per_batch < 1) {
    fail<InputError>("rows per batch must be positive, they are ", options.rows_per_batch);
  }
  if (dataset.num_targets() == 0) fail<InputError>("the evaluation data holds no token to predict");
  const at::NoGradGuard no_grad;
  const at::Device device = student.device();
  Measurement measurement(student, teacher);
  const std::int64_t total = dataset.num_rows();
  const std::int64_t mine = options.rows_per_batch * ranks.rank();
  const std::int64_t all = options.rows_per_batch * ranks.size();
  // Every rank goes through as many rounds, so that all agree on when to stop.
  for (std::int64_t round = 0; round < total; round += all) {
    if (options.stop != nullptr && ranks.any(options.stop->requested())) {
      fail<Stopped>("the evaluation was stopped after ", round, " of ", total, " rows");
    }
    const std::int64_t begin = round + mine;
    const std::int64_t end = std::min(begin + options.rows_per_batch, total);
    if (begin < end) measurement.add(batch_of(dataset, begin, end, device));
    if (options.on_progress) options.on_progress(std::min(round + all, total), total);
  }
  return measurement.result(ranks);
}

}  // namespace distill::eval
