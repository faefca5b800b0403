#include <distill/nn/latent_attention.h>

#include <array>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>

#include <distill/nn/kv_cache.h>
#include <distill/ops/attention.h>
#include <distill/ops/rotary.h>

#include "nn/cached_runs.h"

namespace distill::nn {

/// Pairs go to the two halves that ops::rotary turns. Queries and keys are reordered alike, so
/// their products stay the same.
at::Tensor LatentAttention::rotate(const at::Tensor& heads, const RotaryTable& rotary) const {
  const at::Tensor halves =
      interleaved ? heads.unflatten(-1, {rope_dim / 2, 2}).transpose(-1, -2).flatten(-2) : heads;
  return ops::rotary(halves, rotary.cos, rotary.sin);
}

LatentAttention::Parts LatentAttention::project(const at::Tensor& x,
                                                const RotaryTable& rotary) const {
  const std::int64_t n = x.size(0);
  const Linear& first = query_latent ? query_latent->a_proj : q_proj;
  const auto projected = project_all(std::array{&first, &kv_a_proj_with_mqa}, x);
  const at::Tensor queries =
      query_latent ? q_proj(query_latent->a_norm(projected[0])) : projected[0];
  const at::Tensor q = queries.view({n, num_heads, nope_dim + rope_dim});
  const at::Tensor& kv = projected[1];
  const std::int64_t rank = kv.size(1) - rope_dim;
  return {q.narrow(2, 0, nope_dim), rotate(q.narrow(2, nope_dim, rope_dim), rotary),
          kv_a_norm(kv.narrow(1, 0, rank)),
          rotate(kv.narrow(1, rank, rope_dim).unsqueeze(1), rotary)};
}

at::Tensor LatentAttention::attend(const Parts& parts, std::span<const std::int64_t> segments,
                                   types::AttentionInputs* taken) const {
  const std::int64_t n = parts.latent.size(0);
  const at::Tensor kv = kv_b_proj(parts.latent).view({n, num_heads, nope_dim + value_dim});
  const at::Tensor q = at::cat({parts.q_nope, parts.q_rope}, 2);
  const at::Tensor k =
      at::cat({kv.narrow(2, 0, nope_dim), parts.k_rope.expand({n, num_heads, rope_dim})}, 2);
  if (taken != nullptr) *taken = {q, k, scale};
  const at::Tensor v = kv.narrow(2, nope_dim, value_dim);
  return ops::packed_causal_attention(q, k, v, segments, {scale}).flatten(1);
}

at::Tensor LatentAttention::forward(const at::Tensor& x, const RotaryTable& rotary,
                                    std::span<const std::int64_t> segments,
                                    types::AttentionInputs* taken) const {
  return o_proj(attend(project(x, rotary), segments, taken));
}

at::Tensor LatentAttention::attend_to_latents(const Parts& parts,
                                              std::span<const std::int64_t> segments,
                                              std::span<const at::Tensor> keys) const {
  const std::int64_t rank = parts.latent.size(1);
  // [heads, D, R] and [heads, Dv, R]: what kv_b_proj makes of a latent vector for each head.
  const at::Tensor expand = kv_b_proj.matrix().view({num_heads, nope_dim + value_dim, rank});
  const at::Tensor to_latent = expand.narrow(1, 0, nope_dim);
  const at::Tensor to_value = expand.narrow(1, nope_dim, value_dim);
  const at::Tensor q_latent = at::bmm(parts.q_nope.transpose(0, 1), to_latent).transpose(0, 1);
  std::vector<ops::CachedKeys> held;
  for (const at::Tensor& own : keys) held.push_back({own, own.narrow(2, 0, rank)});
  const at::Tensor mixed =
      ops::cached_attention(at::cat({q_latent, parts.q_rope}, 2), segments, held, {scale});
  const at::Tensor values = at::bmm(mixed.transpose(0, 1), to_value.transpose(1, 2));
  return values.transpose(0, 1).flatten(1);
}

at::Tensor LatentAttention::forward_cached(const at::Tensor& x, const RotaryTable& rotary,
                                           const CachedSequences& sequences,
                                           std::int64_t layer) const {
  const Parts parts = project(x, rotary);
  return o_proj(attend_in_runs(sequences, [&](const CachedRun& run) {
    const Parts own{run.rows_of(parts.q_nope), run.rows_of(parts.q_rope), run.rows_of(parts.latent),
                    run.rows_of(parts.k_rope)};
    const at::Tensor added = at::cat({own.latent.unsqueeze(1), own.k_rope}, 2);
    std::vector<at::Tensor> keys;
    for (std::size_t s = 0; s < run.caches.size(); ++s) {
      const std::int64_t first = run.segments[s], count = run.segments[s + 1] - first;
      keys.push_back(run.caches[s]->append(layer, added.narrow(0, first, count)));
    }
    if (run.is_new) return attend(own, run.segments, nullptr);
    return attend_to_latents(own, run.segments, keys);
  }));
}

}  // namespace distill::nn
