#pragma once

#include <cstdint>

#include "ops/linear_divergence_problem.h"

namespace distill::ops {

/// How the bf16 engine goes through rows and vocabulary inside its budget.
struct BrgemmPlan {
  std::int64_t num_blocks = 0;  ///< of kHeadBlock ids
  std::int64_t slots = 1;       ///< parts of the work that may run at once
  /// Blocks whose gradients are added to the hidden states' in one product.
  std::int64_t strip_blocks = 1;
  /// Rows of a chunk in the first pass, whose logits are there for the whole vocabulary.
  std::int64_t first_rows = 0;
  /// True: the last pass forms the logits once more, group of blocks after group, for chunks of
  /// `last_rows`. Two more products, but only a group's part of the head's fp32 gradient is held.
  bool forms_twice = false;
  std::int64_t last_rows = 0;     ///< first_rows unless formed twice
  std::int64_t group_blocks = 0;  ///< num_blocks unless formed twice
};

/// Rows are padded to a multiple of it: few sizes of matrix product.
inline constexpr std::int64_t kRowStep = 16;
/// Rows whose gradient tiles stay in cache between both gradients.
inline constexpr std::int64_t kPanelRows = 512;

BrgemmPlan plan_brgemm(const DivergenceProblem& problem, std::int64_t slots);

}  // namespace distill::ops
