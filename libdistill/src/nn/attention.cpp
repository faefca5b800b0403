#include <distill/nn/attention.h>

#include <array>
#include <cmath>
#include <vector>

#include <distill/nn/kv_cache.h>
#include <distill/ops/attention.h>
#include <distill/ops/rotary.h>

#include "nn/cached_runs.h"

namespace distill::nn {

Attention::Heads Attention::project(const at::Tensor& x, const RotaryTable& rotary) const {
  const auto projected = project_all(std::array{&q_proj, &k_proj, &v_proj}, x);
  const auto heads_of = [&](std::size_t i) { return projected[i].view({x.size(0), -1, head_dim}); };
  const auto turned = [&](std::size_t i, const std::optional<RmsNorm>& norm) {
    const at::Tensor heads = heads_of(i);
    return ops::rotary(norm ? (*norm)(heads) : heads, rotary.cos, rotary.sin);
  };
  return {turned(0, q_norm), turned(1, k_norm), heads_of(2)};
}

double Attention::scale() const {
  return 1.0 / std::sqrt(static_cast<double>(head_dim));
}

at::Tensor Attention::attend(const Heads& heads, std::span<const std::int64_t> segments) const {
  const auto& [q, k, v] = heads;
  return ops::packed_causal_attention(q, k, v, segments, {scale(), window}).flatten(1);
}

at::Tensor Attention::forward(const at::Tensor& x, const RotaryTable& rotary,
                              std::span<const std::int64_t> segments,
                              types::AttentionInputs* taken) const {
  const Heads heads = project(x, rotary);
  if (taken != nullptr) *taken = {heads.q, heads.k, scale()};
  return o_proj(attend(heads, segments));
}

at::Tensor Attention::forward_cached(const at::Tensor& x, const RotaryTable& rotary,
                                     const CachedSequences& sequences, std::int64_t layer) const {
  const Heads heads = project(x, rotary);
  return o_proj(attend_in_runs(sequences, [&](const CachedRun& run) {
    const Heads own{run.rows_of(heads.q), run.rows_of(heads.k), run.rows_of(heads.v)};
    std::vector<ops::CachedKeys> held;
    for (std::size_t s = 0; s < run.caches.size(); ++s) {
      const std::int64_t first = run.segments[s], count = run.segments[s + 1] - first;
      const auto [keys, values] = run.caches[s]->append(layer, own.k.narrow(0, first, count),
                                                        own.v.narrow(0, first, count));
      held.push_back({keys, values});
    }
    if (run.is_new) return attend(own, run.segments);
    return ops::cached_attention(own.q, run.segments, held, {scale(), window}).flatten(1);
  }));
}

}  // namespace distill::nn
