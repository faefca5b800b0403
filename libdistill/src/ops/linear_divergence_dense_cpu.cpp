#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "ops/divergence_rows.h"

namespace distill::ops {
namespace {

using cpu::round_up;

/// More rows at once gain nothing.
constexpr std::int64_t kMostRows = 512;

/// Logits of a chunk of rows, block of ids after block of ids, each a dense [rows, block] matrix.
/// The gradient of a head in the type of the products is summed in place over the chunks. That of a
/// bf16 head must be rounded once, at the end: with several chunks its rows are formed block by
/// block in a last pass that forms the block's logits anew, so that no fp32 copy of all is held.
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
        forms_twice_(problem.needs_head_grad && problem.student.head.scalar_type() != type_ &&
                     problem.num_rows > chunk_),
        student_(*problem.workspace, {num_blocks_, chunk_, block_}),
        teacher_(*problem.workspace,
                 {problem.has_dense_teacher() ? num_blocks_ : 0, chunk_, block_}),
        per_row_(problem, forms_twice_ ? problem.num_rows : chunk_, /*stat_slots=*/1, slots_) {}

  DivergenceSums run() {
    const at::Tensor& head = problem_.student.head;
    DivergenceSums sums;
    if (problem_.needs_hidden_grad) {
      sums.hidden_grad = at::zeros({problem_.num_rows, head.size(1)}, head.options().dtype(type_));
    }
    if (problem_.needs_head_grad) sums.head_grad = at::zeros(head.sizes(), head.options());
    if (forms_twice_) per_row_.begin(0, problem_.num_rows);
    for_chunks([&] {
      if (!forms_twice_) per_row_.begin(first_row_, rows_);
      first_pass();
      if (per_row_.wants_thresholds()) set_thresholds();
      if (per_row_.reduces()) reduce();
      if (!forms_twice_ && per_row_.wants_last_pass()) last_pass(sums);
    });
    if (forms_twice_ && per_row_.wants_last_pass()) {
      for (std::int64_t block = 0; block < num_blocks_; ++block) last_pass_of_block(block, sums);
    }
    sums.values = per_row_.values();
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

  template <class Body>
  void for_chunks(Body body) {
    for (std::int64_t begin = 0; begin < problem_.num_rows; begin += chunk_) {
      first_row_ = begin;
      rows_ = std::min(chunk_, problem_.num_rows - begin);
      body();
    }
  }
  /// The chunk's rows among those that per_row_ took.
  cpu::RowRange range() const { return {forms_twice_ ? first_row_ : 0, rows_}; }
  at::Tensor chunk_rows(const at::Tensor& hidden) const {
    return take_rows(problem_, hidden, first_row_, rows_).to(type_);
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
    return {data,        block_,          round_up(ids, cpu::kColumnStep),
            ids,         first_id(block), range().first + first,
            last - first};
  }
  /// The teacher's, where it has any.
  cpu::Tile<T> teacher_tile(std::int64_t block, std::int64_t first, std::int64_t last) const {
    return problem_.has_dense_teacher() ? tile(teacher_, block, first, last) : cpu::Tile<T>();
  }

  /// Into the statistics, unless they were counted before.
  void add(const cpu::Tile<T>& added, bool student, bool counted) {
    if (counted) {
      student ? per_row_.prepare_student(added) : per_row_.prepare_teacher(added);
    } else {
      student ? per_row_.add_student(added, 0) : per_row_.add_teacher(added, 0);
    }
  }
  void add(const Side& side, std::int64_t block, bool counted) {
    at::parallel_for(0, rows_, std::max<std::int64_t>(1, cpu::kLogitsForThread / block_),
                     [&](std::int64_t begin, std::int64_t end) {
                       add(tile(side, block, begin, end), &side == &student_, counted);
                     });
  }

  void project(const Side& side, const ModelSide& model, std::int64_t block, bool counted) {
    at::Tensor out = side.tile(block, rows_).narrow(1, 0, num_ids(block));
    at::mm_out(out, chunk_rows(model.hidden), head_rows(model.head, block).t());
    add(side, block, counted);
  }

  void copy_teacher_logits(std::int64_t block, bool counted) {
    at::Tensor out = teacher_.tile(block, rows_).narrow(1, 0, num_ids(block));
    out.copy_(take_rows(problem_,
                        problem_.teacher_logits.narrow(1, first_id(block), num_ids(block)),
                        first_row_, rows_));
    out.clamp_min_(cpu::kNoLogit);  // ids the teacher excludes with -infinity
    add(teacher_, block, counted);
  }

  void form_logits(std::int64_t block, bool counted) {
    project(student_, problem_.student, block, counted);
    if (problem_.teacher_logits.defined()) {
      copy_teacher_logits(block, counted);
    } else if (problem_.teacher.hidden.defined()) {
      project(teacher_, problem_.teacher, block, counted);
    }
  }

  void first_pass() {
    for (std::int64_t block = 0; block < num_blocks_; ++block) {
      form_logits(block, /*counted=*/false);
    }
    per_row_.finish_stats(range());
  }

  void set_thresholds() {
    per_row_.set_thresholds(range(), [this](std::int64_t row, T* out) {
      const std::int64_t in_chunk = row - range().first;
      for (std::int64_t block = 0; block < num_blocks_; ++block) {
        std::copy_n(tile(teacher_, block, in_chunk, in_chunk + 1).data, num_ids(block),
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
    per_row_.finish_reductions(range());
  }

  /// Student logits become gradients, in place.
  void form_gradients(std::int64_t block) {
    for_rows(num_ids(block), [&](std::int64_t slot, std::int64_t first, std::int64_t last) {
      std::vector<T> scratch(static_cast<std::size_t>(block_));
      per_row_.gradient(tile(student_, block, first, last), teacher_tile(block, first, last), slot,
                        scratch.data());
    });
  }

  /// The block's gradient of the chunk's rows, in place of the student's logits, and what it adds
  /// to the gradient of the hidden states.
  at::Tensor slopes(std::int64_t block, const at::Tensor& head, const DivergenceSums& sums) {
    form_gradients(block);
    const at::Tensor slope = student_.tile(block, rows_).narrow(1, 0, num_ids(block));
    if (problem_.needs_hidden_grad) {
      sums.hidden_grad.narrow(0, first_row_, rows_).addmm_(slope, head);
    }
    return slope;
  }

  at::Tensor head_grad_rows(std::int64_t block, const DivergenceSums& sums) const {
    return sums.head_grad.narrow(0, first_id(block), num_ids(block));
  }

  void last_pass(const DivergenceSums& sums) {
    at::Tensor hidden;
    if (problem_.needs_head_grad) hidden = chunk_rows(problem_.student.hidden);
    for (std::int64_t block = 0; block < num_blocks_; ++block) {
      const at::Tensor slope = slopes(block, head_rows(problem_.student.head, block), sums);
      if (!problem_.needs_head_grad) continue;
      const at::Tensor grad = head_grad_rows(block, sums);
      if (grad.scalar_type() == type_) {
        grad.addmm_(slope.t(), hidden);
      } else {
        grad.copy_(at::mm(slope.t(), hidden));  // the only chunk
      }
    }
  }

  void last_pass_of_block(std::int64_t block, const DivergenceSums& sums) {
    const at::Tensor head = head_rows(problem_.student.head, block);
    const at::Tensor grad = at::zeros_like(head);
    for_chunks([&] {
      form_logits(block, /*counted=*/true);
      grad.addmm_(slopes(block, head, sums).t(), chunk_rows(problem_.student.hidden));
    });
    head_grad_rows(block, sums).copy_(grad);
  }

  const DivergenceProblem& problem_;
  at::ScalarType type_;
  std::int64_t block_;
  std::int64_t num_blocks_;
  std::int64_t chunk_;
  std::int64_t slots_;
  bool forms_twice_;
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
