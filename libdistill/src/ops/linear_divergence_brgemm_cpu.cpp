#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "ops/linear_divergence_rows.h"

// bf16 with fp32 logits. The vocabulary is split into blocks of kBlock ids, each slot of work (a
// thread) owns a run of blocks. First pass, for each block: the heads' rows are packed, multiplied
// with the chunk's hidden states into fp32 logits that are kept, and the running statistics are
// updated while the tile is in cache. Second pass: logits -> gradient tile in bf16 -> added into
// the slot's fp32 gradient of the hidden states, and into the block's fp32 gradient of the head.

namespace distill::ops {
namespace {

using cpu::Bf16;
using cpu::GradientArgs;
using cpu::RunningStats;
using cpu::StatsArgs;

constexpr std::int64_t kBlock = 128;   // ids
constexpr std::int64_t kTile = 64;     // rows handled while in cache
constexpr std::int64_t kRowStep = 16;  // rows of a chunk are padded: few sizes of matrix product

std::int64_t round_up(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}

const Bf16* bf16_data(const at::Tensor& x) {
  return static_cast<const Bf16*>(x.const_data_ptr());
}
Bf16* mutable_bf16_data(const at::Tensor& x) {
  return static_cast<Bf16*>(x.data_ptr());
}

struct Product {
  std::int64_t m, n, k;
  std::int64_t lda, ldb, ldc;
  bool add;
};

/// C [m, n] (+)= A [m, k] B; B is packed in pairs of k: [k / 2][ldb][2].
void multiply(const Product& p, const Bf16* a, const Bf16* b, float* c) {
  at::native::cpublas::brgemm(p.m, p.n, p.k, p.lda, p.ldb, p.ldc, p.add,
                              reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), c);
}

/// Logits of one model for a chunk: [blocks][padded rows][kBlock].
struct Side {
  Side(std::int64_t slots, std::int64_t blocks, std::int64_t rows, std::vector<float> inverse)
      : rows_of_block(rows),
        stats(slots, rows, std::move(inverse)),
        logits(cpu::logit_buffer({blocks * rows * kBlock}, at::kFloat)) {}
  float* tile(std::int64_t block, std::int64_t row) const {
    return logits.data_ptr<float>() + (block * rows_of_block + row) * kBlock;
  }
  std::int64_t rows_of_block;
  RunningStats<float> stats;
  at::Tensor logits;
};

class BrgemmDivergence {
 public:
  explicit BrgemmDivergence(const DivergenceProblem& problem)
      : problem_(problem),
        width_(problem.student.head.size(1)),
        num_blocks_((problem.vocabulary + kBlock - 1) / kBlock),
        slots_(cpu::num_slots()),
        chunk_(choose_chunk()),
        student_(slots_, num_blocks_, chunk_, cpu::inverse_temperatures<float>(problem)),
        teacher_(slots_, problem.has_teacher() ? num_blocks_ : 0, chunk_,
                 cpu::inverse_temperatures<float>(problem)),
        terms_(cpu::term_args<float>(problem)),
        values_(slots_, static_cast<std::int64_t>(terms_.size())) {}

  DivergenceSums run() {
    DivergenceSums sums;
    if (problem_.needs_hidden_grad) {
      sums.hidden_grad = at::empty({problem_.num_rows, width_}, at::kFloat);
      slot_hidden_grad_ = at::empty({slots_, chunk_, width_}, at::kFloat);
    }
    if (problem_.needs_head_grad) {
      sums.head_grad = at::empty(problem_.student.head.sizes(), at::kBFloat16);
      sums.head_grad.narrow(0, problem_.vocabulary, sums.head_grad.size(0) - problem_.vocabulary)
          .zero_();
      const bool one_chunk = chunk_ >= problem_.num_rows;
      head_grad_ = at::empty({one_chunk ? slots_ : num_blocks_, width_, kBlock}, at::kFloat);
    }
    for (std::int64_t begin = 0; begin < problem_.num_rows; begin += chunk_) {
      first_row_ = begin;
      rows_ = std::min(chunk_, problem_.num_rows - begin);
      padded_ = round_up(rows_, kRowStep);
      first_pass();
      second_pass(sums);
    }
    sums.values = values_.total();
    return sums;
  }

 private:
  /// Bytes that grow with the rows of a chunk.
  std::int64_t bytes_per_row() const {
    const std::int64_t models = problem_.has_teacher() ? 2 : 1;
    const auto temperatures = static_cast<std::int64_t>(problem_.temperatures.size());
    std::int64_t bytes = models * (num_blocks_ * kBlock * 4 + width_ * 4 +
                                   RunningStats<float>::bytes_per_row(slots_, temperatures));
    if (problem_.needs_hidden_grad) bytes += slots_ * width_ * 4;
    if (problem_.needs_head_grad) bytes += width_ * 2 + slots_ * kBlock * 2;
    return bytes;
  }

  /// Rows of a chunk, a multiple of kRowStep. The head's fp32 gradient is paid from the workspace
  /// when it takes at most half of it.
  std::int64_t choose_chunk() const {
    const std::int64_t wanted = round_up(problem_.num_rows, kRowStep);
    std::int64_t budget = problem_.workspace_bytes;
    const bool in_chunks = wanted > cpu::kMostRows || wanted * bytes_per_row() > budget;
    if (in_chunks && problem_.needs_head_grad) {
      const std::int64_t head_bytes = num_blocks_ * kBlock * width_ * 4;
      budget -= std::min(budget / 2, head_bytes);
    }
    const std::int64_t fitting =
        std::clamp<std::int64_t>(budget / bytes_per_row() / kRowStep, 1, cpu::kMostRows / kRowStep);
    const std::int64_t chunks = (wanted / kRowStep + fitting - 1) / fitting;
    return std::min(wanted, round_up((problem_.num_rows + chunks - 1) / chunks, kRowStep));
  }

  template <class Body>
  void for_slots(Body body) {
    const std::int64_t grain = rows_ * problem_.vocabulary < cpu::kLogitsForThread ? slots_ : 1;
    at::parallel_for(0, slots_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t slot = begin; slot < end; ++slot) {
        body(slot, num_blocks_ * slot / slots_, num_blocks_ * (slot + 1) / slots_);
      }
      at::native::cpublas::brgemm_release();
    });
  }

  std::int64_t num_ids(std::int64_t block) const {
    return std::min(kBlock, problem_.vocabulary - block * kBlock);
  }

  /// The chunk's rows, and zeros behind them: [padded, width].
  at::Tensor padded_rows(const at::Tensor& hidden) const {
    at::Tensor rows = at::empty({padded_, hidden.size(1)}, at::kBFloat16);
    rows.narrow(0, 0, rows_).copy_(take_rows(problem_, hidden, first_row_, rows_));
    rows.narrow(0, rows_, padded_ - rows_).zero_();
    return rows;
  }

  void project_block(Side& side, const ModelSide& model, const Bf16* hidden, std::int64_t block,
                     std::int64_t slot, std::uint32_t* packed) {
    const std::int64_t width = model.head.size(1);
    const std::int64_t ids = num_ids(block);
    if (ids < kBlock) std::fill(packed, packed + width / 2 * kBlock, 0U);
    const auto* head = static_cast<const std::uint32_t*>(model.head.const_data_ptr());
    kernels_.transpose(head + block * kBlock * (width / 2), width / 2, packed, kBlock, ids,
                       width / 2);
    for (std::int64_t row = 0; row < padded_; row += kTile) {
      const std::int64_t count = std::min(kTile, padded_ - row);
      float* tile = side.tile(block, row);
      multiply({count, kBlock, width, width, kBlock, kBlock, false}, hidden + row * width,
               reinterpret_cast<const Bf16*>(packed), tile);
      update_stats(side, cpu::transform_of<float>(model), {block, row, count, slot});
    }
  }

  struct Where {
    std::int64_t block, row, count, slot;
  };
  void update_stats(Side& side, cpu::Transform<float> transform, const Where& where) {
    StatsArgs<float> args;
    args.block = {side.tile(where.block, where.row), kBlock, kBlock};
    args.valid_columns = num_ids(where.block);
    args.transform = transform;
    side.stats.attach(args, where.slot, where.row);
    kernels_.f32.stats(args, where.count);
  }

  void copy_teacher_logits(std::int64_t first_block, std::int64_t last_block, std::int64_t slot) {
    for (std::int64_t block = first_block; block < last_block; ++block) {
      const at::Tensor columns = problem_.teacher_logits.narrow(1, block * kBlock, num_ids(block));
      const at::Tensor chosen =
          take_rows(problem_, columns, first_row_, rows_).to(at::kFloat).contiguous();
      const float* from = chosen.const_data_ptr<float>();
      for (std::int64_t row = 0; row < padded_; ++row) {
        float* to = teacher_.tile(block, row);
        for (std::int64_t i = 0; i < num_ids(block); ++i) {
          const float x = row < rows_ ? from[row * num_ids(block) + i] : 0.0F;
          to[i] = x < cpu::kNoLogit ? cpu::kNoLogit : x;  // ids excluded with -infinity
        }
      }
      update_stats(teacher_, {}, {block, 0, padded_, slot});
    }
  }

  void first_pass() {
    const bool projected = problem_.teacher.hidden.defined();
    hidden_ = padded_rows(problem_.student.hidden);
    const at::Tensor teacher_hidden =
        projected ? padded_rows(problem_.teacher.hidden) : at::Tensor();
    student_.stats.reset();
    teacher_.stats.reset();
    const std::int64_t widest =
        std::max(width_, projected ? problem_.teacher.head.size(1) : std::int64_t{0});
    for_slots([&](std::int64_t slot, std::int64_t first, std::int64_t last) {
      std::vector<std::uint32_t> packed(static_cast<std::size_t>(widest / 2 * kBlock));
      for (std::int64_t block = first; block < last; ++block) {
        project_block(student_, problem_.student, bf16_data(hidden_), block, slot, packed.data());
        if (projected) {
          project_block(teacher_, problem_.teacher, bf16_data(teacher_hidden), block, slot,
                        packed.data());
        }
      }
      if (problem_.teacher_logits.defined()) copy_teacher_logits(first, last, slot);
    });
    student_.stats.finish(rows_);
    if (problem_.has_teacher()) teacher_.stats.finish(rows_);
  }

  /// What one slot works in.
  struct Scratch {
    std::vector<float> row = std::vector<float>(kBlock);
    std::vector<Bf16> tile = std::vector<Bf16>(kTile * kBlock);  // [rows][ids]
    std::vector<Bf16> head_pairs;                                // [kBlock / 2][width][2]
    std::vector<Bf16> slope_pairs;                               // [padded / 2][kBlock][2]
  };

  GradientArgs<float> gradient_args(std::int64_t block, std::int64_t row, double* values,
                                    Scratch& scratch) {
    GradientArgs<float> args;
    args.student = {student_.tile(block, row), kBlock, kBlock};
    args.student_stats = student_.stats.from_row(row);
    if (problem_.has_teacher()) {
      args.teacher = {teacher_.tile(block, row), kBlock, kBlock};
      args.teacher_stats = teacher_.stats.from_row(row);
    }
    args.num_temperatures = static_cast<std::int64_t>(problem_.temperatures.size());
    args.transform = cpu::transform_of<float>(problem_.student);
    args.terms = terms_.data();
    args.num_terms = static_cast<std::int64_t>(terms_.size());
    if (problem_.labels.defined()) {
      args.labels = problem_.labels.const_data_ptr<std::int64_t>() + first_row_ + row;
    }
    args.first_column = block * kBlock;
    args.gradient = scratch.tile.data();
    args.scratch = scratch.row.data();
    args.values = values;
    return args;
  }

  void pack_head_pairs(std::int64_t block, std::vector<Bf16>& pairs) const {
    const std::int64_t ids = num_ids(block);
    const Bf16* head = bf16_data(problem_.student.head) + block * kBlock * width_;
    for (std::int64_t i = 0; i < ids; i += 2) {
      kernels_.interleave(head + i * width_, i + 1 < ids ? head + (i + 1) * width_ : nullptr,
                          pairs.data() + i * width_, width_);
    }
  }

  /// Gradient tiles of one block, each used at once for the hidden states.
  void slopes_of_block(std::int64_t block, std::int64_t slot, bool first_of_slot,
                       Scratch& scratch) {
    if (problem_.needs_hidden_grad) pack_head_pairs(block, scratch.head_pairs);
    for (std::int64_t row = 0; row < padded_; row += kTile) {
      const std::int64_t count = std::min(kTile, padded_ - row);
      const std::int64_t real = std::clamp<std::int64_t>(rows_ - row, 0, count);
      kernels_.f32.gradient(gradient_args(block, row, values_.of(slot), scratch), real);
      std::fill(scratch.tile.begin() + real * kBlock, scratch.tile.begin() + count * kBlock,
                Bf16{0});
      if (problem_.needs_head_grad) {
        for (std::int64_t i = 0; i < count; i += 2) {
          const Bf16* line = scratch.tile.data() + i * kBlock;
          kernels_.interleave(line, line + kBlock, scratch.slope_pairs.data() + (row + i) * kBlock,
                              kBlock);
        }
      }
      if (problem_.needs_hidden_grad) {
        float* grad = slot_hidden_grad_.data_ptr<float>() + (slot * chunk_ + row) * width_;
        multiply(
            {count, width_, round_up(num_ids(block), 2), kBlock, width_, width_, !first_of_slot},
            scratch.tile.data(), scratch.head_pairs.data(), grad);
      }
    }
  }

  /// The block's head gradient, kept transposed, [width][kBlock]; rounded once, after the last
  /// chunk.
  void add_head_grad(std::int64_t block, std::int64_t slot, const Scratch& scratch,
                     const at::Tensor& head_grad) {
    const bool one_chunk = chunk_ >= problem_.num_rows;
    float* grad = head_grad_.data_ptr<float>() + (one_chunk ? slot : block) * width_ * kBlock;
    multiply({width_, kBlock, padded_, padded_, kBlock, kBlock, first_row_ > 0},
             bf16_data(transposed_hidden_), scratch.slope_pairs.data(), grad);
    if (first_row_ + rows_ < problem_.num_rows) return;
    kernels_.transpose_to_bf16(grad, kBlock, mutable_bf16_data(head_grad) + block * kBlock * width_,
                               width_, width_, num_ids(block));
  }

  void second_pass(DivergenceSums& sums) {
    if (problem_.needs_head_grad) transposed_hidden_ = hidden_.t().contiguous();
    for_slots([&](std::int64_t slot, std::int64_t first, std::int64_t last) {
      Scratch scratch;
      if (problem_.needs_hidden_grad) {
        scratch.head_pairs.resize(static_cast<std::size_t>(kBlock * width_));
      }
      if (problem_.needs_head_grad) {
        scratch.slope_pairs.resize(static_cast<std::size_t>(padded_ * kBlock));
      }
      for (std::int64_t block = first; block < last; ++block) {
        slopes_of_block(block, slot, block == first, scratch);
        if (problem_.needs_head_grad) add_head_grad(block, slot, scratch, sums.head_grad);
      }
    });
    if (problem_.needs_hidden_grad) add_slots(sums.hidden_grad.narrow(0, first_row_, rows_));
  }

  void add_slots(const at::Tensor& hidden_grad) const {
    bool first = true;
    for (std::int64_t slot = 0; slot < slots_; ++slot) {
      if (num_blocks_ * slot / slots_ == num_blocks_ * (slot + 1) / slots_) continue;  // no block
      const at::Tensor part = slot_hidden_grad_.select(0, slot).narrow(0, 0, rows_);
      first ? hidden_grad.copy_(part) : hidden_grad.add_(part);
      first = false;
    }
  }

  const DivergenceProblem& problem_;
  const cpu::DivergenceTable& kernels_ = cpu::divergence_kernels();
  std::int64_t width_;
  std::int64_t num_blocks_;
  std::int64_t slots_;
  std::int64_t chunk_;
  Side student_;
  Side teacher_;
  std::vector<cpu::TermArgs<float>> terms_;
  cpu::SlotValues values_;
  at::Tensor slot_hidden_grad_;   // [slots, chunk, width]
  at::Tensor head_grad_;          // [blocks or slots, width, kBlock]
  at::Tensor hidden_;             // [padded, width]
  at::Tensor transposed_hidden_;  // [width, padded]
  std::int64_t first_row_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t padded_ = 0;
};

bool cpu_has_brgemm() {
#if defined(__x86_64__)
  static const bool has =
      __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl");
  return has;
#else
  return false;
#endif
}

}  // namespace

bool can_use_brgemm(const DivergenceProblem& problem) {
  const at::Tensor& head = problem.student.head;
  if (!cpu_has_brgemm() || head.scalar_type() != at::kBFloat16) return false;
  if (head.size(1) == 0 || head.size(1) % 2 != 0) return false;
  if (!problem.teacher.head.defined()) return true;
  const at::Tensor& teacher = problem.teacher.head;
  return teacher.scalar_type() == at::kBFloat16 && teacher.size(1) > 0 && teacher.size(1) % 2 == 0;
}

DivergenceSums linear_divergence_brgemm_cpu(const DivergenceProblem& problem) {
  return BrgemmDivergence(problem).run();
}

}  // namespace distill::ops
