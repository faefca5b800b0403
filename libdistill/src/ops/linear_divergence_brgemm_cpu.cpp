#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "ops/brgemm.h"
#include "ops/brgemm_divergence_plan.h"
#include "ops/divergence_rows.h"
#include "ops/large_buffer.h"

// bf16 with fp32 logits. The vocabulary is split into blocks of kHeadBlock ids, each slot of work
// (a thread) owns a run of blocks. First pass, for each block: the heads' rows are packed,
// multiplied with the chunk's hidden states into fp32 logits that are kept, and the running
// statistics are updated while the tile is in cache. Last pass, a strip of some blocks at a time:
// logits -> gradient tiles in bf16 -> added into the slot's fp32 gradient of the hidden states
// (once for the whole strip, as that sum is wide), and into each block's fp32 gradient of the head.
// Where that gradient is too large for the budget, the last pass forms logits anew, some blocks at
// a time (brgemm_divergence_plan.h).

namespace distill::ops {
namespace {

using cpu::Bf16;
using cpu::round_up;
using Tile = cpu::Tile<float>;

constexpr std::int64_t kTile = 64;  // rows handled while in cache

const Bf16* bf16_data(const at::Tensor& x) {
  return static_cast<const Bf16*>(x.const_data_ptr());
}
Bf16* mutable_bf16_data(const at::Tensor& x) {
  return static_cast<Bf16*>(x.data_ptr());
}

/// Blocks [first, last) of the vocabulary.
struct Blocks {
  std::int64_t first, last;
  std::int64_t count() const { return last - first; }
};

class BrgemmDivergence {
 public:
  explicit BrgemmDivergence(const DivergenceProblem& problem)
      : problem_(problem),
        width_(problem.student.head.size(1)),
        plan_(plan_brgemm(problem, cpu::num_slots())),
        strip_(plan_.strip_blocks * kHeadBlock),
        per_row_(problem,
                 plan_.forms_twice ? round_up(problem.num_rows, kRowStep) : plan_.first_rows,
                 plan_.slots, plan_.slots),
        student_(take_logits(true)),
        teacher_(take_logits(problem.has_dense_teacher())) {}

  DivergenceSums run() {
    allocate_gradients();
    const Blocks all{0, plan_.num_blocks};
    if (plan_.forms_twice) per_row_.begin(0, problem_.num_rows);
    for_chunks(plan_.first_rows, [&] {
      if (!plan_.forms_twice) per_row_.begin(first_row_, rows_);
      first_pass(all);
      if (!plan_.forms_twice && per_row_.wants_last_pass()) last_pass(all);
    });
    if (plan_.forms_twice && per_row_.wants_last_pass()) {
      for (std::int64_t first = 0; first < all.last; first += plan_.group_blocks) {
        const Blocks group{first, std::min(first + plan_.group_blocks, all.last)};
        for_chunks(plan_.last_rows, [&] {
          project(group, /*counted=*/true);
          last_pass(group);
        });
      }
    }
    sums_.values = per_row_.values();
    return std::move(sums_);
  }

 private:
  at::Tensor take_logits(bool wanted) const {
    const std::int64_t first = plan_.first_rows * plan_.num_blocks;
    const std::int64_t last = plan_.last_rows * plan_.group_blocks;
    const std::int64_t rows = wanted ? std::max(first, last) : 0;
    return problem_.workspace->take({rows * kHeadBlock}, at::kFloat);
  }

  bool last_pass_in_one_chunk() const { return plan_.last_rows >= problem_.num_rows; }

  void allocate_gradients() {
    if (problem_.needs_hidden_grad) {
      sums_.hidden_grad = at::empty({problem_.num_rows, width_}, at::kFloat);
      slot_hidden_grad_ =
          problem_.workspace->take({plan_.slots, plan_.last_rows, width_}, at::kFloat);
    }
    if (problem_.needs_head_grad) {
      const at::Tensor& head = problem_.student.head;
      sums_.head_grad = large_buffer(head.sizes(), at::kBFloat16);
      sums_.head_grad.narrow(0, problem_.vocabulary, head.size(0) - problem_.vocabulary).zero_();
      const std::int64_t held =
          last_pass_in_one_chunk() ? plan_.slots * plan_.strip_blocks : plan_.group_blocks;
      head_grad_ = problem_.workspace->take({held, width_, kHeadBlock}, at::kFloat);
    }
  }

  /// Calls body() for each chunk of rows, with its hidden states at hand.
  template <class Body>
  void for_chunks(std::int64_t chunk, Body body) {
    for (std::int64_t first = 0; first < problem_.num_rows; first += chunk) {
      first_row_ = first;
      rows_ = std::min(chunk, problem_.num_rows - first);
      padded_ = round_up(rows_, kRowStep);
      chunk_rows_ = chunk;
      hidden_ = padded_rows(problem_.student.hidden);
      transposed_hidden_ = at::Tensor();
      if (problem_.teacher.hidden.defined()) {
        teacher_hidden_ = padded_rows(problem_.teacher.hidden);
      }
      body();
    }
  }

  /// The chunk's rows, and zeros behind them: [padded, width].
  at::Tensor padded_rows(const at::Tensor& hidden) const {
    at::Tensor rows = at::empty({padded_, hidden.size(1)}, at::kBFloat16);
    rows.narrow(0, 0, rows_).copy_(take_rows(problem_, hidden, first_row_, rows_));
    rows.narrow(0, rows_, padded_ - rows_).zero_();
    return rows;
  }

  /// Calls body(slot, blocks) for each slot's run of blocks.
  template <class Body>
  void for_slots(const Blocks& blocks, Body body) {
    const std::int64_t slots = plan_.slots;
    const std::int64_t work = rows_ * blocks.count() * kHeadBlock;
    const std::int64_t grain = work < cpu::kLogitsForThread ? slots : 1;
    at::parallel_for(0, slots, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t slot = begin; slot < end; ++slot) {
        body(slot, blocks_of(blocks, slot));
      }
      release_brgemm();
    });
  }
  Blocks blocks_of(const Blocks& blocks, std::int64_t slot) const {
    return {blocks.first + blocks.count() * slot / plan_.slots,
            blocks.first + blocks.count() * (slot + 1) / plan_.slots};
  }

  std::int64_t num_ids(std::int64_t block) const {
    return std::min(kHeadBlock, problem_.vocabulary - block * kHeadBlock);
  }

  /// Logits lie as [blocks of the group][rows of the chunk][kHeadBlock].
  float* logits_at(const at::Tensor& side, std::int64_t block_in_group, std::int64_t row) const {
    return side.data_ptr<float>() + (block_in_group * chunk_rows_ + row) * kHeadBlock;
  }
  Tile tile(const at::Tensor& side, const Blocks& group, std::int64_t block, std::int64_t row,
            std::int64_t count) const {
    if (!side.numel()) return {};
    const std::int64_t among_rows = (plan_.forms_twice ? first_row_ : 0) + row;
    return {logits_at(side, block - group.first, row),
            kHeadBlock,
            kHeadBlock,
            num_ids(block),
            block * kHeadBlock,
            among_rows,
            count};
  }
  cpu::RowRange range() const { return {plan_.forms_twice ? first_row_ : 0, rows_}; }

  void project_block(bool student, const Blocks& group, std::int64_t block, std::int64_t slot,
                     std::uint32_t* packed, bool counted) {
    const ModelSide& model = student ? problem_.student : problem_.teacher;
    const at::Tensor& logits = student ? student_ : teacher_;
    const Bf16* hidden = bf16_data(student ? hidden_ : teacher_hidden_);
    const std::int64_t width = model.head.size(1);
    pack_head_block(model.head, block * kHeadBlock, num_ids(block), packed);
    for (std::int64_t row = 0; row < padded_; row += kTile) {
      const std::int64_t count = std::min(kTile, padded_ - row);
      const Tile to = tile(logits, group, block, row, count);
      brgemm({count, kHeadBlock, width, width, kHeadBlock, kHeadBlock, false}, hidden + row * width,
             reinterpret_cast<const Bf16*>(packed), to.data);
      add(student, to, slot, counted);
    }
  }

  void add(bool student, const Tile& added, std::int64_t slot, bool counted) {
    if (counted) {
      student ? per_row_.prepare_student(added) : per_row_.prepare_teacher(added);
    } else {
      student ? per_row_.add_student(added, slot) : per_row_.add_teacher(added, slot);
    }
  }

  void copy_teacher_logits(const Blocks& group, std::int64_t block, std::int64_t slot,
                           bool counted) {
    const std::int64_t ids = num_ids(block);
    const at::Tensor columns = problem_.teacher_logits.narrow(1, block * kHeadBlock, ids);
    const at::Tensor chosen =
        take_rows(problem_, columns, first_row_, rows_).to(at::kFloat).contiguous();
    const float* from = chosen.const_data_ptr<float>();
    const Tile to = tile(teacher_, group, block, 0, padded_);
    for (std::int64_t row = 0; row < padded_; ++row) {
      for (std::int64_t i = 0; i < ids; ++i) {
        const float x = row < rows_ ? from[row * ids + i] : 0.0F;
        to.data[row * kHeadBlock + i] = std::max(x, cpu::kNoLogit);  // -infinity: excluded
      }
    }
    add(false, to, slot, counted);
  }

  /// Logits of a group of blocks; statistics too unless they were counted before.
  void project(const Blocks& group, bool counted) {
    const bool projected = problem_.teacher.hidden.defined();
    const std::int64_t widest =
        std::max(width_, projected ? problem_.teacher.head.size(1) : std::int64_t{0});
    for_slots(group, [&](std::int64_t slot, const Blocks& own) {
      std::vector<std::uint32_t> packed(static_cast<std::size_t>(widest / 2 * kHeadBlock));
      for (std::int64_t block = own.first; block < own.last; ++block) {
        project_block(true, group, block, slot, packed.data(), counted);
        if (projected) project_block(false, group, block, slot, packed.data(), counted);
        if (problem_.teacher_logits.defined()) copy_teacher_logits(group, block, slot, counted);
      }
    });
  }

  void first_pass(const Blocks& all) {
    project(all, /*counted=*/false);
    per_row_.finish_stats(range());
    if (per_row_.wants_thresholds()) {
      per_row_.set_thresholds(range(), [&](std::int64_t row, float* out) {
        for (std::int64_t block = 0; block < all.last; ++block) {
          std::copy_n(logits_at(teacher_, block, row - range().first), num_ids(block),
                      out + block * kHeadBlock);
        }
      });
    }
    if (!per_row_.reduces()) return;
    for_slots(all, [&](std::int64_t slot, const Blocks& own) {
      for (std::int64_t block = own.first; block < own.last; ++block) {
        per_row_.reduce(tile(student_, all, block, 0, rows_), tile(teacher_, all, block, 0, rows_),
                        slot);
      }
    });
    per_row_.finish_reductions(range());
  }

  /// What one slot works in.
  struct Scratch {
    std::vector<float> row = std::vector<float>(kHeadBlock);
    std::vector<Bf16> tile;         // [rows][ids of the strip]
    std::vector<Bf16> slope_pairs;  // [blocks of the strip][rows / 2][ids][2]
    std::vector<Bf16> head_pairs;   // [ids / 2][width][2]
  };

  std::int64_t num_ids(const Blocks& strip) const {
    return (strip.count() - 1) * kHeadBlock + num_ids(strip.last - 1);
  }

  void pack_head_pairs(const Blocks& strip, std::vector<Bf16>& pairs) const {
    const std::int64_t ids = num_ids(strip);
    const Bf16* head = bf16_data(problem_.student.head) + strip.first * kHeadBlock * width_;
    for (std::int64_t i = 0; i < ids; i += 2) {
      kernels_.interleave(head + i * width_, i + 1 < ids ? head + (i + 1) * width_ : nullptr,
                          pairs.data() + i * width_, width_);
    }
  }

  /// Rows [first, last) of one strip.
  struct Panel {
    Blocks strip;
    std::int64_t slot, first, last;
    bool first_of_slot;
    Bf16* slope_pairs(Scratch& scratch, std::int64_t block) const {
      return scratch.slope_pairs.data() + (block - strip.first) * kPanelRows * kHeadBlock;
    }
  };

  /// The gradient tile of rows [row, row + count) of one block, zeros for rows that only pad.
  void slopes_of_tile(const Blocks& group, const Panel& panel, std::int64_t block, std::int64_t row,
                      Scratch& scratch) {
    const std::int64_t count = std::min(kTile, panel.last - row);
    const std::int64_t real = std::clamp<std::int64_t>(rows_ - row, 0, count);
    Bf16* slopes = scratch.tile.data() + (block - panel.strip.first) * kHeadBlock;
    per_row_.gradient(tile(student_, group, block, row, real),
                      tile(teacher_, group, block, row, real), panel.slot, scratch.row.data(),
                      {slopes, strip_});
    for (std::int64_t i = real; i < count; ++i)
      std::fill_n(slopes + i * strip_, kHeadBlock, Bf16{0});
    if (!problem_.needs_head_grad) return;
    Bf16* pairs = panel.slope_pairs(scratch, block) + (row - panel.first) * kHeadBlock;
    for (std::int64_t i = 0; i < count; i += 2) {
      kernels_.interleave(slopes + i * strip_, slopes + (i + 1) * strip_, pairs + i * kHeadBlock,
                          kHeadBlock);
    }
  }

  /// Gradient tiles of a panel, each used at once for the hidden states and kept for the head.
  void slopes_of_panel(const Blocks& group, const Panel& panel, Scratch& scratch) {
    for (std::int64_t row = panel.first; row < panel.last; row += kTile) {
      for (std::int64_t block = panel.strip.first; block < panel.strip.last; ++block) {
        slopes_of_tile(group, panel, block, row, scratch);
      }
      if (!problem_.needs_hidden_grad) continue;
      float* grad =
          slot_hidden_grad_.data_ptr<float>() + (panel.slot * plan_.last_rows + row) * width_;
      brgemm({std::min(kTile, panel.last - row), width_, round_up(num_ids(panel.strip), 2), strip_,
              width_, width_, !panel.first_of_slot},
             scratch.tile.data(), scratch.head_pairs.data(), grad);
    }
  }

  /// A block's head gradient, kept transposed: [width][kHeadBlock].
  float* head_gradient(const Blocks& group, const Panel& panel, std::int64_t block) const {
    const std::int64_t place = last_pass_in_one_chunk()
                                   ? panel.slot * plan_.strip_blocks + block - panel.strip.first
                                   : block - group.first;
    return head_grad_.data_ptr<float>() + place * width_ * kHeadBlock;
  }

  void add_to_head_gradient(const Blocks& group, const Panel& panel, Scratch& scratch) const {
    for (std::int64_t block = panel.strip.first; block < panel.strip.last; ++block) {
      brgemm({width_, kHeadBlock, panel.last - panel.first, padded_, kHeadBlock, kHeadBlock,
              first_row_ + panel.first > 0},
             bf16_data(transposed_hidden_) + panel.first, panel.slope_pairs(scratch, block),
             head_gradient(group, panel, block));
    }
  }

  /// Rounded once, after the last chunk.
  void store_head_gradient(const Blocks& group, const Panel& panel) const {
    for (std::int64_t block = panel.strip.first; block < panel.strip.last; ++block) {
      kernels_.transpose_to_bf16(head_gradient(group, panel, block), kHeadBlock,
                                 mutable_bf16_data(sums_.head_grad) + block * kHeadBlock * width_,
                                 width_, width_, num_ids(block));
    }
  }

  void last_pass_of_strip(const Blocks& group, Panel panel, Scratch& scratch) {
    if (problem_.needs_hidden_grad) pack_head_pairs(panel.strip, scratch.head_pairs);
    for (std::int64_t first = 0; first < padded_; first += kPanelRows) {
      panel.first = first;
      panel.last = std::min(first + kPanelRows, padded_);
      slopes_of_panel(group, panel, scratch);
      if (problem_.needs_head_grad) add_to_head_gradient(group, panel, scratch);
    }
    const bool complete = first_row_ + rows_ == problem_.num_rows;
    if (problem_.needs_head_grad && complete) store_head_gradient(group, panel);
  }

  void last_pass(const Blocks& group) {
    if (problem_.needs_head_grad && !transposed_hidden_.defined()) {
      transposed_hidden_ = hidden_.t().contiguous();
    }
    for_slots(group, [&](std::int64_t slot, const Blocks& own) {
      Scratch scratch;
      scratch.tile.resize(static_cast<std::size_t>(kTile * strip_));
      if (problem_.needs_hidden_grad) {
        scratch.head_pairs.resize(static_cast<std::size_t>(strip_ * width_));
      }
      if (problem_.needs_head_grad) {
        scratch.slope_pairs.resize(static_cast<std::size_t>(kPanelRows * strip_));
      }
      for (std::int64_t first = own.first; first < own.last; first += plan_.strip_blocks) {
        const Blocks strip{first, std::min(first + plan_.strip_blocks, own.last)};
        last_pass_of_strip(group, {strip, slot, 0, 0, first == own.first}, scratch);
      }
    });
    if (problem_.needs_hidden_grad) add_slots(group);
  }

  void add_slots(const Blocks& group) {
    const at::Tensor sum = sums_.hidden_grad.narrow(0, first_row_, rows_);
    bool first = group.first == 0;
    for (std::int64_t slot = 0; slot < plan_.slots; ++slot) {
      if (blocks_of(group, slot).count() == 0) continue;
      const at::Tensor part = slot_hidden_grad_.select(0, slot).narrow(0, 0, rows_);
      first ? sum.copy_(part) : sum.add_(part);
      first = false;
    }
  }

  const DivergenceProblem& problem_;
  const cpu::DivergenceTable& kernels_ = cpu::divergence_kernels();
  std::int64_t width_;
  BrgemmPlan plan_;
  std::int64_t strip_;  // ids of a strip
  cpu::DivergenceRows<float> per_row_;
  at::Tensor student_, teacher_;  // logits
  DivergenceSums sums_;
  at::Tensor slot_hidden_grad_;   // [slots, rows, width]
  at::Tensor head_grad_;          // [blocks of a group or slots, width, kHeadBlock]
  at::Tensor hidden_;             // [padded, width]
  at::Tensor teacher_hidden_;     // [padded, teacher's width]
  at::Tensor transposed_hidden_;  // [width, padded]
  std::int64_t first_row_ = 0;    // of the chunk
  std::int64_t rows_ = 0;
  std::int64_t padded_ = 0;
  std::int64_t chunk_rows_ = 0;
};

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
