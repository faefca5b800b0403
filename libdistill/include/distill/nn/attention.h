#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <ATen/core/Tensor.h>

#include <distill/nn/cached_sequences.h>
#include <distill/nn/linear.h>
#include <distill/nn/norm.h>
#include <distill/nn/rotary_table.h>
#include <distill/types/layer_states.h>

namespace distill::nn {

/// Causal self-attention with rotary positions and grouped keys and values.
struct Attention {
  Linear q_proj;  ///< [heads * D, H]
  Linear k_proj;  ///< [kv_heads * D, H]
  Linear v_proj;  ///< [kv_heads * D, H]
  Linear o_proj;  ///< [H, heads * D]
  std::int64_t head_dim = 0;
  std::int64_t window = 0;             ///< above 0: a token sees this many newest, itself included
  std::optional<RmsNorm> q_norm = {};  ///< [D], of every query before its rotation (Qwen3)
  std::optional<RmsNorm> k_norm = {};  ///< [D], of every key

  /// x [N, H] -> [N, H]; no token sees over a border of `segments`. `taken`, unless null, gets the
  /// queries and keys.
  at::Tensor forward(const at::Tensor& x, const RotaryTable& rotary,
                     std::span<const std::int64_t> segments,
                     types::AttentionInputs* taken = nullptr) const;
  /// x [N, H] are the next tokens of `sequences`. No graph.
  at::Tensor forward_cached(const at::Tensor& x, const RotaryTable& rotary,
                            const CachedSequences& sequences, std::int64_t layer) const;

 private:
  struct Heads {
    at::Tensor q;  ///< [N, heads, D]
    at::Tensor k;  ///< [N, kv_heads, D]
    at::Tensor v;  ///< [N, kv_heads, D]
  };
  Heads project(const at::Tensor& x, const RotaryTable& rotary) const;
  at::Tensor attend(const Heads& heads, std::span<const std::int64_t> segments) const;
  double scale() const;
};

}  // namespace distill::nn
