#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "ops/linear_divergence_rows.h"

namespace distill::ops {
namespace {

using cpu::DivergenceKernels;
using cpu::GradientArgs;
using cpu::RunningStats;
using cpu::StatsArgs;

std::int64_t round_up(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}

/// Logits of a chunk of rows, block of ids after block of ids, each a dense [rows, block] matrix.
template <class T>
class DenseDivergence {
 public:
  explicit DenseDivergence(const DivergenceProblem& problem)
      : problem_(problem),
        type_(c10::CppTypeToScalarType<T>::value),
        block_(choose_block()),
        num_blocks_((problem.vocabulary + block_ - 1) / block_),
        chunk_(choose_chunk()),
        slots_(cpu::num_slots()),
        student_(num_blocks_, chunk_, block_, cpu::inverse_temperatures<T>(problem)),
        teacher_(problem.has_teacher() ? num_blocks_ : 0, chunk_, block_,
                 cpu::inverse_temperatures<T>(problem)),
        terms_(cpu::term_args<T>(problem)),
        values_(slots_, static_cast<std::int64_t>(terms_.size())) {}

  DivergenceSums run() {
    const at::Tensor& head = problem_.student.head;
    const auto options = head.options().dtype(type_);
    DivergenceSums sums;
    if (problem_.needs_hidden_grad) {
      sums.hidden_grad = at::empty({problem_.num_rows, head.size(1)}, options);
    }
    at::Tensor head_grad;
    if (problem_.needs_head_grad) head_grad = at::zeros(head.sizes(), options);
    for (std::int64_t begin = 0; begin < problem_.num_rows; begin += chunk_) {
      first_row_ = begin;
      rows_ = std::min(chunk_, problem_.num_rows - begin);
      first_pass();
      second_pass(sums.hidden_grad, head_grad);
    }
    sums.values = values_.total();
    if (head_grad.defined()) sums.head_grad = head_grad.to(head.scalar_type());
    return sums;
  }

 private:
  struct Side {
    Side(std::int64_t blocks, std::int64_t rows, std::int64_t block, std::vector<T> inverse)
        : stats(1, rows, std::move(inverse)),
          logits(cpu::logit_buffer({blocks, rows, block}, c10::CppTypeToScalarType<T>::value)) {}
    at::Tensor tile(std::int64_t block, std::int64_t rows) const {
      return logits.select(0, block).narrow(0, 0, rows);
    }
    RunningStats<T> stats;
    at::Tensor logits;
  };

  std::int64_t choose_block() const {
    const std::int64_t row_bytes =
        problem_.student.head.size(1) * static_cast<std::int64_t>(sizeof(T));
    const std::int64_t fitting =
        problem_.workspace_bytes / 8 / std::max<std::int64_t>(1, row_bytes);
    const std::int64_t wanted = std::clamp<std::int64_t>(fitting, 64, 2048);
    return round_up(std::min(wanted, problem_.vocabulary), cpu::kColumnStep);
  }

  std::int64_t choose_chunk() const {
    const std::int64_t models = problem_.has_teacher() ? 2 : 1;
    const auto temperatures = static_cast<std::int64_t>(problem_.temperatures.size());
    const std::int64_t row_bytes =
        models * (num_blocks_ * block_ * static_cast<std::int64_t>(sizeof(T)) +
                  RunningStats<T>::bytes_per_row(1, temperatures));
    const std::int64_t fitting =
        std::clamp<std::int64_t>(problem_.workspace_bytes / row_bytes, 1, cpu::kMostRows);
    const std::int64_t chunks = (problem_.num_rows + fitting - 1) / fitting;
    return (problem_.num_rows + chunks - 1) / chunks;
  }

  std::int64_t first_id(std::int64_t block) const { return block * block_; }
  std::int64_t num_ids(std::int64_t block) const {
    return std::min(block_, problem_.vocabulary - first_id(block));
  }
  at::Tensor head_rows(const at::Tensor& head, std::int64_t block) const {
    return head.narrow(0, first_id(block), num_ids(block)).to(type_);
  }

  void update_stats(Side& side, std::int64_t block, cpu::Transform<T> transform) {
    const at::Tensor tile = side.tile(block, rows_);
    T* data = tile.data_ptr<T>();
    at::parallel_for(
        0, rows_, std::max<std::int64_t>(1, cpu::kLogitsForThread / block_),
        [&](std::int64_t begin, std::int64_t end) {
          StatsArgs<T> args;
          args.block = {data + begin * block_, block_, round_up(num_ids(block), cpu::kColumnStep)};
          args.valid_columns = num_ids(block);
          args.transform = transform;
          side.stats.attach(args, 0, begin);
          kernels_.stats(args, end - begin);
        });
  }

  void project(Side& side, const ModelSide& model) {
    const at::Tensor hidden = take_rows(problem_, model.hidden, first_row_, rows_).to(type_);
    for (std::int64_t block = 0; block < num_blocks_; ++block) {
      at::Tensor out = side.tile(block, rows_).narrow(1, 0, num_ids(block));
      at::mm_out(out, hidden, head_rows(model.head, block).t());
      update_stats(side, block, cpu::transform_of<T>(model));
    }
  }

  void copy_teacher_logits() {
    for (std::int64_t block = 0; block < num_blocks_; ++block) {
      at::Tensor out = teacher_.tile(block, rows_).narrow(1, 0, num_ids(block));
      out.copy_(take_rows(problem_,
                          problem_.teacher_logits.narrow(1, first_id(block), num_ids(block)),
                          first_row_, rows_));
      out.clamp_min_(cpu::kNoLogit);  // ids the teacher excludes with -infinity
      update_stats(teacher_, block, {});
    }
  }

  void first_pass() {
    student_.stats.reset();
    project(student_, problem_.student);
    student_.stats.finish(rows_);
    if (!problem_.has_teacher()) return;
    teacher_.stats.reset();
    if (problem_.teacher_logits.defined()) {
      copy_teacher_logits();
    } else {
      project(teacher_, problem_.teacher);
    }
    teacher_.stats.finish(rows_);
  }

  GradientArgs<T> gradient_args(std::int64_t block, std::int64_t first, double* values) {
    const std::int64_t columns = round_up(num_ids(block), cpu::kColumnStep);
    GradientArgs<T> args;
    args.student = {student_.tile(block, rows_).template data_ptr<T>() + first * block_, block_,
                    columns};
    args.student_stats = student_.stats.from_row(first);
    if (problem_.has_teacher()) {
      args.teacher = {teacher_.tile(block, rows_).template data_ptr<T>() + first * block_, block_,
                      columns};
      args.teacher_stats = teacher_.stats.from_row(first);
    }
    args.num_temperatures = static_cast<std::int64_t>(problem_.temperatures.size());
    args.transform = cpu::transform_of<T>(problem_.student);
    args.terms = terms_.data();
    args.num_terms = static_cast<std::int64_t>(terms_.size());
    if (problem_.labels.defined()) {
      args.labels = problem_.labels.const_data_ptr<std::int64_t>() + first_row_ + first;
    }
    args.first_column = first_id(block);
    args.values = values;
    return args;
  }

  /// Student logits become gradients, in place.
  void form_gradients(std::int64_t block) {
    const std::int64_t grain = rows_ * num_ids(block) < cpu::kLogitsForThread ? slots_ : 1;
    at::parallel_for(0, slots_, grain, [&](std::int64_t begin, std::int64_t end) {
      std::vector<T> scratch(static_cast<std::size_t>(block_));
      for (std::int64_t slot = begin; slot < end; ++slot) {
        const std::int64_t first = rows_ * slot / slots_;
        const std::int64_t last = rows_ * (slot + 1) / slots_;
        GradientArgs<T> args = gradient_args(block, first, values_.of(slot));
        args.scratch = scratch.data();
        kernels_.gradient(args, last - first);
      }
    });
  }

  void second_pass(const at::Tensor& hidden_grad, const at::Tensor& head_grad) {
    at::Tensor hidden;
    if (head_grad.defined()) {
      hidden = take_rows(problem_, problem_.student.hidden, first_row_, rows_).to(type_);
    }
    at::Tensor chunk_grad;
    if (hidden_grad.defined()) chunk_grad = hidden_grad.narrow(0, first_row_, rows_).zero_();
    for (std::int64_t block = 0; block < num_blocks_; ++block) {
      form_gradients(block);
      const at::Tensor slope = student_.tile(block, rows_).narrow(1, 0, num_ids(block));
      if (chunk_grad.defined()) {
        chunk_grad.addmm_(slope, head_rows(problem_.student.head, block));
      }
      if (head_grad.defined()) {
        head_grad.narrow(0, first_id(block), num_ids(block)).addmm_(slope.t(), hidden);
      }
    }
  }

  const DivergenceProblem& problem_;
  const DivergenceKernels<T>& kernels_ = cpu::typed_divergence_kernels<T>();
  at::ScalarType type_;
  std::int64_t block_;
  std::int64_t num_blocks_;
  std::int64_t chunk_;
  std::int64_t slots_;
  Side student_;
  Side teacher_;
  std::vector<cpu::TermArgs<T>> terms_;
  cpu::SlotValues values_;
  std::int64_t first_row_ = 0;
  std::int64_t rows_ = 0;
};

}  // namespace

DivergenceSums linear_divergence_dense_cpu(const DivergenceProblem& problem) {
  if (problem.student.head.scalar_type() == at::kDouble) {
    return DenseDivergence<double>(problem).run();
  }
  return DenseDivergence<float>(problem).run();
}

}  // namespace distill::ops
