#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "ops/divergence_rows.h"

namespace distill::ops {
namespace {

using cpu::round_up;

/// More rows at once gain nothing.
constexpr std::int64_t kMostRows = 512;

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
        student_(*problem.workspace, {num_blocks_, chunk_, block_}),
        teacher_(*problem.workspace,
                 {problem.has_dense_teacher() ? num_blocks_ : 0, chunk_, block_}),
        per_row_(problem, chunk_, /*stat_slots=*/1, slots_) {}

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
      per_row_.begin(first_row_, rows_);
      first_pass();
      if (per_row_.wants_thresholds()) set_thresholds();
      if (per_row_.reduces()) reduce();
      if (per_row_.wants_last_pass()) last_pass(sums.hidden_grad, head_grad);
    }
    sums.values = per_row_.values();
    if (head_grad.defined()) sums.head_grad = head_grad.to(head.scalar_type());
    return sums;
  }

 private:
  struct Side {
    Side(Workspace& workspace, at::IntArrayRef sizes)
        : logits(workspace.take(sizes, c10::CppTypeToScalarType<T>::value)) {}
    at::Tensor tile(std::int64_t block, std::int64_t rows) const {
      return logits.select(0, block).narrow(0, 0, rows);
    }
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
    const std::int64_t models = problem_.has_dense_teacher() ? 2 : 1;
    const std::int64_t row_bytes =
        models * num_blocks_ * block_ * static_cast<std::int64_t>(sizeof(T)) +
        cpu::DivergenceRows<T>::bytes_per_row(problem_, 1);
    const std::int64_t fitting =
        std::clamp<std::int64_t>(problem_.workspace_bytes / row_bytes, 1, kMostRows);
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

  /// Rows [first, last) of a block.
  cpu::Tile<T> tile(const Side& side, std::int64_t block, std::int64_t first,
                    std::int64_t last) const {
    const std::int64_t ids = num_ids(block);
    T* data = side.tile(block, rows_).template data_ptr<T>() + first * block_;
    return {data,  block_,      round_up(ids, cpu::kColumnStep), ids, first_id(block),
            first, last - first};
  }
  /// The teacher's, where it has any.
  cpu::Tile<T> teacher_tile(std::int64_t block, std::int64_t first, std::int64_t last) const {
    return problem_.has_dense_teacher() ? tile(teacher_, block, first, last) : cpu::Tile<T>();
  }

  void add(const Side& side, std::int64_t block) {
    at::parallel_for(0, rows_, std::max<std::int64_t>(1, cpu::kLogitsForThread / block_),
                     [&](std::int64_t begin, std::int64_t end) {
                       const cpu::Tile<T> added = tile(side, block, begin, end);
                       &side == &student_ ? per_row_.add_student(added, 0)
                                          : per_row_.add_teacher(added, 0);
                     });
  }

  void project(const Side& side, const ModelSide& model) {
    const at::Tensor hidden = take_rows(problem_, model.hidden, first_row_, rows_).to(type_);
    for (std::int64_t block = 0; block < num_blocks_; ++block) {
      at::Tensor out = side.tile(block, rows_).narrow(1, 0, num_ids(block));
      at::mm_out(out, hidden, head_rows(model.head, block).t());
      add(side, block);
    }
  }

  void copy_teacher_logits() {
    for (std::int64_t block = 0; block < num_blocks_; ++block) {
      at::Tensor out = teacher_.tile(block, rows_).narrow(1, 0, num_ids(block));
      out.copy_(take_rows(problem_,
                          problem_.teacher_logits.narrow(1, first_id(block), num_ids(block)),
                          first_row_, rows_));
      out.clamp_min_(cpu::kNoLogit);  // ids the teacher excludes with -infinity
      add(teacher_, block);
    }
  }

  void first_pass() {
    project(student_, problem_.student);
    if (problem_.teacher_logits.defined()) {
      copy_teacher_logits();
    } else if (problem_.teacher.hidden.defined()) {
      project(teacher_, problem_.teacher);
    }
    per_row_.finish_stats({0, rows_});
  }

  void set_thresholds() {
    per_row_.set_thresholds({0, rows_}, [this](std::int64_t row, T* out) {
      for (std::int64_t block = 0; block < num_blocks_; ++block) {
        std::copy_n(tile(teacher_, block, row, row + 1).data, num_ids(block),
                    out + first_id(block));
      }
    });
  }

  /// Calls body(slot, first row, last row), the rows split over the threads.
  template <class Body>
  void for_rows(std::int64_t columns, Body body) {
    const std::int64_t grain = rows_ * columns < cpu::kLogitsForThread ? slots_ : 1;
    at::parallel_for(0, slots_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t slot = begin; slot < end; ++slot) {
        body(slot, rows_ * slot / slots_, rows_ * (slot + 1) / slots_);
      }
    });
  }

  void reduce() {
    for_rows(problem_.vocabulary, [&](std::int64_t, std::int64_t first, std::int64_t last) {
      for (std::int64_t block = 0; block < num_blocks_; ++block) {
        per_row_.reduce(tile(student_, block, first, last), teacher_tile(block, first, last), 0);
      }
    });
    per_row_.finish_reductions({0, rows_});
  }

  /// Student logits become gradients, in place.
  void form_gradients(std::int64_t block) {
    for_rows(num_ids(block), [&](std::int64_t slot, std::int64_t first, std::int64_t last) {
      std::vector<T> scratch(static_cast<std::size_t>(block_));
      per_row_.gradient(tile(student_, block, first, last), teacher_tile(block, first, last), slot,
                        scratch.data());
    });
  }

  void last_pass(const at::Tensor& hidden_grad, const at::Tensor& head_grad) {
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
  at::ScalarType type_;
  std::int64_t block_;
  std::int64_t num_blocks_;
  std::int64_t chunk_;
  std::int64_t slots_;
  Side student_;
  Side teacher_;
  cpu::DivergenceRows<T> per_row_;
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
