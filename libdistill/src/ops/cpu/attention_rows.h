#pragma once

#include "ops/cpu/scalar_types.h"

/// What attention asks of an instruction set between its matrix products. Rows are queries, columns
/// the keys of one block. Several heads that share their keys lie side by side: row r belongs to
/// token r / group. Scores are taken to base 2: `scale` includes log2(e).
namespace distill::ops::cpu {

/// Blocks of keys are as wide as a multiple of it, so that no vector is partial.
inline constexpr std::int64_t kKeyStep = 16;

/// Which columns each row sees.
struct CausalRows {
  std::int64_t first_token = 0;  ///< of row 0, counted from the block's first key
  std::int64_t group = 1;
  std::int64_t window = 0;  ///< the newest keys a token sees, or 0: all
};

/// One block of keys of a softmax that is computed block by block.
struct AttentionSoftmaxArgs {
  const float* scores = nullptr;  ///< [rows, stride], before scaling
  std::int64_t stride = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;  ///< a multiple of kKeyStep
  CausalRows seen;
  float scale = 1;
  float* maxima = nullptr;        ///< [rows], of scaled scores; -infinity before the first block
  float* sums = nullptr;          ///< [rows], of 2^(score - maximum)
  float* output = nullptr;        ///< [rows, value_size], rescaled with the maxima; null: none yet
  Bf16* probabilities = nullptr;  ///< [rows, stride], relative to the maximum; 0 where unseen
  std::int64_t value_size = 0;
};

/// P = 2^(score - log_sum) and dS = P (dP - delta) of one block, formed anew.
struct AttentionGradArgs {
  const float* scores = nullptr;      ///< [rows, stride], before scaling
  const float* prob_grads = nullptr;  ///< [rows, stride]: dP
  std::int64_t stride = 0;
  std::int64_t rows = 0;  ///< even
  std::int64_t columns = 0;
  CausalRows seen;  ///< rows from `real_rows` on see nothing
  std::int64_t real_rows = 0;
  float scale = 1;
  const float* log_sums = nullptr;  ///< [rows], to base 2
  const float* deltas = nullptr;    ///< [rows]
  Bf16* grads = nullptr;            ///< dS [rows, stride]
  Bf16* grad_pairs = nullptr;       ///< dS [rows / 2, stride, 2]
  Bf16* prob_pairs = nullptr;       ///< P [rows / 2, stride, 2]
};

struct AttentionKernels {
  void (*softmax)(const AttentionSoftmaxArgs&);
  void (*grad)(const AttentionGradArgs&);
  /// out[i] = x[i] * factor, rounded.
  void (*scale_to_bf16)(const float* x, float factor, Bf16* out, std::int64_t n);
  /// sum_i a[i] * b[i]
  float (*dot)(const Bf16* a, const Bf16* b, std::int64_t n);
  /// out[i] += x[i] * factor
  void (*add_scaled)(const float* x, float factor, float* out, std::int64_t n);
  /// {even[i], odd[i]} = pairs[i]
  void (*split_pairs)(const Bf16* pairs, Bf16* even, Bf16* odd, std::int64_t n);
};

}  // namespace distill::ops::cpu
