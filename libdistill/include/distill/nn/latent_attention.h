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

/// Multi-head latent attention (DeepSeek-AI 2024): keys and values are projected from one short
/// vector a token, which is all that a cache keeps beside one rotated key for all heads.
/// R = rank of that vector, P = rotated columns of a head, D = those that are not.
struct LatentAttention {
  /// Queries through a narrow layer of their own.
  struct QueryLatent {
    Linear a_proj;   ///< [Rq, H]
    RmsNorm a_norm;  ///< [Rq]
  };
  std::optional<QueryLatent> query_latent;
  Linear q_proj;              ///< [heads * (D + P), Rq or H]
  Linear kv_a_proj_with_mqa;  ///< [R + P, H]
  RmsNorm kv_a_norm;          ///< [R]
  Linear kv_b_proj;           ///< [heads * (D + Dv), R]
  Linear o_proj;              ///< [H, heads * Dv]
  std::int64_t num_heads = 0;
  std::int64_t nope_dim = 0;   ///< D
  std::int64_t rope_dim = 0;   ///< P
  std::int64_t value_dim = 0;  ///< Dv
  double scale = 0.0;
  /// The stored columns to rotate are pairs side by side, not two halves.
  bool interleaved = true;

  /// x [N, H] -> [N, H]; no token sees over a border of `segments`. `taken`, unless null, gets the
  /// queries and keys, [N, heads, D + P].
  at::Tensor forward(const at::Tensor& x, const RotaryTable& rotary,
                     std::span<const std::int64_t> segments,
                     types::AttentionInputs* taken = nullptr) const;
  /// x [N, H] are the next tokens of `sequences`, whose caches hold one head with keys of R + P and
  /// no values. Queries are taken to the latent vectors instead of these to keys. No graph.
  at::Tensor forward_cached(const at::Tensor& x, const RotaryTable& rotary,
                            const CachedSequences& sequences, std::int64_t layer) const;

 private:
  struct Parts {
    at::Tensor q_nope;  ///< [N, heads, D]
    at::Tensor q_rope;  ///< [N, heads, P], rotated
    at::Tensor latent;  ///< [N, R], normed
    at::Tensor k_rope;  ///< [N, 1, P], rotated
  };
  Parts project(const at::Tensor& x, const RotaryTable& rotary) const;
  at::Tensor rotate(const at::Tensor& heads, const RotaryTable& rotary) const;
  /// Returns [N, heads * Dv].
  at::Tensor attend(const Parts& parts, std::span<const std::int64_t> segments,
                    types::AttentionInputs* taken) const;
  /// The same for sequences whose `keys` [1, T, R + P] end with their own rows.
  at::Tensor attend_to_latents(const Parts& parts, std::span<const std::int64_t> segments,
                               std::span<const at::Tensor> keys) const;
};

}  // namespace distill::nn
