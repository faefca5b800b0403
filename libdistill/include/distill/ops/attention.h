#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

namespace distill::ops {

struct AttentionOptions {
  double scale;             ///< of the scores; usually 1 / sqrt(D)
  std::int64_t window = 0;  ///< a query sees the newest `window` keys, its own included; 0: all
};

/// Causal grouped-query attention over packed segments: no key is seen across a border.
/// q [N, heads, D], k [N, kv_heads, D] and v [N, kv_heads, Dv], heads a multiple of kv_heads;
/// `segments` as in types::ModelInput. softmax(q k^T * scale) v, returns [N, heads, Dv].
/// Differentiable once in q, k and v. Throws c10::Error naming the argument on bad shapes, dtypes,
/// segments or options.
///
/// bf16 with even D and Dv runs in a fused kernel (Dao 2023, FlashAttention-2) where the CPU has
/// bf16 products: fp32 scores and sums, memory O(N (D + Dv)), the same bits at any number of
/// threads and whatever a segment is packed with. Otherwise LibTorch computes it.
at::Tensor packed_causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                   std::span<const std::int64_t> segments,
                                   const AttentionOptions& options);

/// New queries against all keys and values of a cache, for generation; records no graph.
/// q [n, heads, D], k [kv_heads, T, D] and v [kv_heads, T, Dv] with any strides, T >= n; query i
/// stands at position T - n + i and sees the keys up to it. Returns [n, heads, Dv] in q's dtype.
/// Scores, softmax and sums are in fp32 (fp64 for fp64). Throws as packed_causal_attention.
at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionOptions& options);

/// What a cache holds of one sequence.
struct CachedKeys {
  at::Tensor k;  ///< [kv_heads, T, D]
  at::Tensor v;  ///< [kv_heads, T, Dv]
};

/// The same for several sequences at once: q [N, heads, D] holds the new queries of each, one
/// sequence after the other with borders `segments`, and `caches` what each has.
at::Tensor cached_attention(const at::Tensor& q, std::span<const std::int64_t> segments,
                            std::span<const CachedKeys> caches, const AttentionOptions& options);

}  // namespace distill::ops
