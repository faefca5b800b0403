#pragma once

#include <algorithm>
#include <cstdint>
#include <numbers>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ops/attention_blocks.h"
#include "ops/attention_brgemm.h"
#include "ops/brgemm.h"
#include "ops/cpu/attention_rows.h"
#include "ops/shared_tasks.h"

/// What the forward and the backward pass of brgemm attention share.
namespace distill::ops {

/// A bf16 tensor [N, heads, size] whose last dimension is dense; the others have any even stride.
class HeadRows {
 public:
  explicit HeadRows(const at::Tensor& x);
  const cpu::Bf16* at(std::int64_t token, std::int64_t head) const {
    return data_ + token * token_stride_ + head * head_stride_;
  }
  std::int64_t size() const { return size_; }
  std::int64_t token_stride() const { return token_stride_; }

 private:
  at::Tensor held_;
  const cpu::Bf16* data_;
  std::int64_t token_stride_, head_stride_, size_;
};

struct AttentionSizes {
  explicit AttentionSizes(const AttentionProblem& problem)
      : heads(problem.q.size(1)),
        kv_heads(problem.k.size(1)),
        group(heads / kv_heads),
        key(problem.k.size(2)),
        value(problem.v.size(2)),
        scale(static_cast<float>(problem.options.scale)),
        scale_to_base_2(static_cast<float>(problem.options.scale * std::numbers::log2e)) {}
  std::int64_t heads, kv_heads, group, key, value;
  float scale, scale_to_base_2;
};

/// Query rows of a block: tokens x heads of the group, padded so that few kernels serve all.
inline std::int64_t padded_query_rows(std::int64_t tokens, std::int64_t group) {
  const std::int64_t rows = tokens * group;
  const std::int64_t step = rows < 16 ? 2 : 16;
  return (rows + step - 1) / step * step;
}

/// Copies a block's rows of one group to [padded, size], zeros behind them.
void gather_rows(const HeadRows& x, const QueryBlock& block, const AttentionSizes& sizes,
                 std::int64_t kv_head, cpu::Bf16* out);

/// [count, size] at a block of keys -> [size / 2][width][2]: B of rows x keys^T.
void pack_transposed(const HeadRows& x, const KeyBlock& block, std::int64_t head, cpu::Bf16* out);
/// -> [width / 2][size][2]: B of probabilities x values.
void pack_pairs(const HeadRows& x, const KeyBlock& block, std::int64_t head, cpu::Bf16* out);

/// Columns of a key block that the last token of a query block sees, padded.
inline std::int64_t columns_seen(const QueryBlock& query, const KeyBlock& key) {
  const std::int64_t past = query.begin + query.count - key.begin;
  return std::min(key.width, (past + cpu::kKeyStep - 1) / cpu::kKeyStep * cpu::kKeyStep);
}

inline AttentionBlocks cut_attention(const AttentionProblem& problem) {
  const std::int64_t kv_heads = problem.k.size(1);
  return cut_attention({problem.segments, kv_heads, problem.q.size(1) / kv_heads,
                        problem.options.window, problem.first_query});
}

inline std::vector<cpu::Bf16> bf16_scratch(std::int64_t n) {
  return std::vector<cpu::Bf16>(static_cast<std::size_t>(n));
}
inline std::vector<float> float_scratch(std::int64_t n) {
  return std::vector<float>(static_cast<std::size_t>(n));
}

}  // namespace distill::ops
