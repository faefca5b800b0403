#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "ops/divergence_rows.h"

// bf16 with fp32 logits. The vocabulary is split into blocks of kBlock ids, each slot of work (a
// thread) owns a run of blocks. First pass, for each block: the heads' rows are packed, multiplied
// with the chunk's hidden states into fp32 logits that are kept, and the running statistics are
// updated while the tile is in cache. Last pass: logits -> gradient tile in bf16 -> added into
// the slot's fp32 gradient of the hidden states, and into the block's fp32 gradient of the head.

namespace distill::ops {
namespace {

using cpu::Bf16;
using cpu::round_up;
using Tile = cpu::Tile<float>;

constexpr std::int64_t kBlock = 128;   // ids
constexpr std::int64_t kTile = 64;     // rows handled while in cache
constexpr std::int64_t kRowStep = 16;  // rows of a chunk are padded: few sizes of matrix product

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
  Side(std::int64_t blocks, std::int64_t rows)
      : rows_of_block(rows), logits(cpu::logit_buffer({blocks * rows * kBlock}, at::kFloat)) {}
  float* tile(std::int64_t block, std::int64_t row) const {
    return logits.data_ptr<float>() + (block * rows_of_block + row) * kBlock;
  }
  std::int64_t rows_of_block;
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
        student_(num_blocks_, chunk_),
        teacher_(problem.has_dense_teacher() ? num_blocks_ : 0, chunk_),
        per_row_(problem, chunk_, slots_, slots_) {}

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
      per_row_.begin(first_row_, rows_);
      first_pass();
      if (per_row_.wants_thresholds()) set_thresholds();
      if (per_row_.reduces()) reduce();
      if (per_row_.wants_last_pass()) last_pass(sums);
    }
    sums.values = per_row_.values();
    return sums;
  }

 private:
  /// Bytes that grow with the rows of a chunk.
  std::int64_t bytes_per_row() const {
    const std::int64_t models = problem_.has_dense_teacher() ? 2 : 1;
    std::int64_t bytes = models * (num_blocks_ * kBlock * 4 + width_ * 4) +
                         cpu::DivergenceRows<float>::bytes_per_row(problem_, slots_);
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
      add(side, block, row, count, slot);
    }
  }

  Tile tile(const Side& side, std::int64_t block, std::int64_t row, std::int64_t count) const {
    return {side.tile(block, row), kBlock, kBlock, num_ids(block), block * kBlock, row, count};
  }

  /// The teacher's, where it has any.
  Tile teacher_tile(std::int64_t block, std::int64_t row, std::int64_t count) const {
    return problem_.has_dense_teacher() ? tile(teacher_, block, row, count) : Tile();
  }

  void add(const Side& side, std::int64_t block, std::int64_t row, std::int64_t count,
           std::int64_t slot) {
    const Tile added = tile(side, block, row, count);
    &side == &student_ ? per_row_.add_student(added, slot) : per_row_.add_teacher(added, slot);
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
      add(teacher_, block, 0, padded_, slot);
    }
  }

  void first_pass() {
    const bool projected = problem_.teacher.hidden.defined();
    hidden_ = padded_rows(problem_.student.hidden);
    const at::Tensor teacher_hidden =
        projected ? padded_rows(problem_.teacher.hidden) : at::Tensor();
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
    per_row_.finish_stats();
  }

  void set_thresholds() {
    per_row_.set_thresholds([this](std::int64_t row, float* out) {
      for (std::int64_t block = 0; block < num_blocks_; ++block) {
        std::copy_n(teacher_.tile(block, row), num_ids(block), out + block * kBlock);
      }
    });
  }

  void reduce() {
    for_slots([&](std::int64_t slot, std::int64_t first, std::int64_t last) {
      for (std::int64_t block = first; block < last; ++block) {
        per_row_.reduce(tile(student_, block, 0, rows_), teacher_tile(block, 0, rows_), slot);
      }
    });
    per_row_.finish_reductions();
  }

  /// What one slot works in.
  struct Scratch {
    std::vector<float> row = std::vector<float>(kBlock);
    std::vector<Bf16> tile = std::vector<Bf16>(kTile * kBlock);  // [rows][ids]
    std::vector<Bf16> head_pairs;                                // [kBlock / 2][width][2]
    std::vector<Bf16> slope_pairs;                               // [padded / 2][kBlock][2]
  };

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
      per_row_.gradient(tile(student_, block, row, real), teacher_tile(block, row, real), slot,
                        scratch.row.data(), scratch.tile.data());
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

  void last_pass(DivergenceSums& sums) {
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
  cpu::DivergenceRows<float> per_row_;
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
