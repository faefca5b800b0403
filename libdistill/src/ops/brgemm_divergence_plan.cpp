#include "ops/brgemm_divergence_plan.h"

#include <algorithm>

#include "ops/brgemm.h"
#include "ops/divergence_rows.h"

namespace distill::ops {

namespace {

using cpu::round_up;

/// More rows at once gain nothing: the tiles of a chunk no longer meet in the cache.
constexpr std::int64_t kMostRows = 512;
/// A wide sum is read and written less often with more blocks at once; a narrow one stays in the
/// cache anyway.
constexpr std::int64_t kMostStripBlocks = 4;
constexpr std::int64_t kNarrow = 1024;
/// But one chunk needs no fp32 gradient of the whole head.
constexpr std::int64_t kMostRowsOfOneChunk = 4096;

struct Sizes {
  explicit Sizes(const DivergenceProblem& problem, std::int64_t of_slots)
      : slots(of_slots),
        width(problem.student.head.size(1)),
        models(problem.has_dense_teacher() ? 2 : 1),
        blocks((problem.vocabulary + kHeadBlock - 1) / kHeadBlock),
        rows(round_up(problem.num_rows, kRowStep)),
        state(cpu::DivergenceRows<float>::bytes_per_row(problem, slots)) {
    // Padded hidden states of both models, the student's transposed, and the slots' gradients.
    std::int64_t widths = width * 2;
    if (problem.teacher.hidden.defined()) widths += problem.teacher.head.size(1) * 2;
    if (problem.needs_head_grad) widths += width * 2;
    if (problem.needs_hidden_grad) widths += slots * width * 4;
    beside_logits = widths;
  }
  std::int64_t logits(std::int64_t num_blocks) const {
    return models * num_blocks * kHeadBlock * 4;
  }
  std::int64_t head_gradient(std::int64_t num_blocks) const {
    return num_blocks * kHeadBlock * width * 4;
  }

  /// A slot's part of both gradients: rows of the head, slopes, the head's gradient.
  std::int64_t strip(std::int64_t num_blocks) const {
    return num_blocks * kHeadBlock * (width * 6 + kPanelRows * 2);
  }

  std::int64_t slots, width, models, blocks, rows;
  std::int64_t state;          ///< bytes of statistics for each row
  std::int64_t beside_logits;  ///< other bytes for each row of a chunk
};

/// A sixteenth of the budget for what the slots hold at once.
std::int64_t strip_blocks(const Sizes& sizes, std::int64_t budget) {
  if (sizes.width <= kNarrow) return 1;
  return std::clamp<std::int64_t>(budget / 16 / (sizes.slots * sizes.strip(1)), 1,
                                  kMostStripBlocks);
}

/// Rows of equal chunks that fit `bytes`, a multiple of kRowStep.
std::int64_t rows_that_fit(const Sizes& sizes, std::int64_t bytes, std::int64_t bytes_per_row) {
  const std::int64_t fitting =
      std::clamp<std::int64_t>(bytes / bytes_per_row / kRowStep * kRowStep, kRowStep, kMostRows);
  const std::int64_t chunks = (sizes.rows + fitting - 1) / fitting;
  return round_up((sizes.rows + chunks - 1) / chunks, kRowStep);
}

/// Chunks of rows whose own memory leaves at least half to logits, and as many blocks as then fit.
void plan_groups(const Sizes& sizes, std::int64_t bytes, BrgemmPlan& plan) {
  bytes = std::max(bytes - sizes.rows * sizes.state, bytes / 4);
  plan.last_rows = rows_that_fit(sizes, bytes / 2, sizes.beside_logits);
  const bool one_chunk = plan.last_rows >= sizes.rows;
  const std::int64_t of_block =
      plan.last_rows * sizes.logits(1) + (one_chunk ? 0 : sizes.head_gradient(1));
  const std::int64_t rest = bytes - plan.last_rows * sizes.beside_logits;
  // The first pass keeps its logits in what the groups' gradient leaves.
  const std::int64_t most = std::min(rest / of_block, bytes / 4 / sizes.head_gradient(1));
  const std::int64_t fitting = std::clamp(most, std::min(sizes.slots, sizes.blocks), sizes.blocks);
  const std::int64_t groups = (sizes.blocks + fitting - 1) / fitting;
  plan.group_blocks = (sizes.blocks + groups - 1) / groups;
}

}  // namespace

BrgemmPlan plan_brgemm(const DivergenceProblem& problem, std::int64_t slots) {
  const Sizes sizes(problem, slots);
  BrgemmPlan plan;
  plan.num_blocks = sizes.blocks;
  plan.slots = slots;
  const std::int64_t budget = problem.workspace_bytes;
  const std::int64_t bytes_per_row = sizes.logits(sizes.blocks) + sizes.beside_logits + sizes.state;
  plan.strip_blocks = strip_blocks(sizes, budget);
  const std::int64_t of_strips = sizes.slots * sizes.strip(plan.strip_blocks);
  const bool one_chunk =
      sizes.rows <= (problem.needs_head_grad ? kMostRowsOfOneChunk : kMostRows) &&
      sizes.rows * bytes_per_row <= budget - of_strips;
  const std::int64_t head =
      problem.needs_head_grad && !one_chunk ? sizes.head_gradient(sizes.blocks) : of_strips;
  plan.first_rows = one_chunk
                        ? sizes.rows
                        : rows_that_fit(sizes, budget - std::min(head, budget / 2), bytes_per_row);
  plan.last_rows = plan.first_rows;
  plan.group_blocks = sizes.blocks;
  const bool head_too_large = problem.needs_head_grad && !one_chunk && head > budget / 2;
  if (head_too_large) {
    plan.forms_twice = true;
    plan_groups(sizes, budget, plan);
    const std::int64_t held = sizes.head_gradient(plan.group_blocks);
    plan.first_rows = rows_that_fit(sizes, budget - std::min(held, budget / 2), bytes_per_row);
  }
  return plan;
}

}  // namespace distill::ops
