#include <distill/nn/attention.h>

#include <array>
#include <cmath>

#include <distill/ops/attention.h>
#include <distill/ops/rotary.h>

#include "nn/cached_attention.h"

namespace distill::nn {

Attention::Heads Attention::project(const at::Tensor& x, const RotaryTable& rotary) const {
  const std::int64_t n = x.size(0);
  const auto heads_of = [&](const Linear& projection) {
    return projection(x).view({n, -1, head_dim});
  };
  const auto turned = [&](const Linear& projection, const std::optional<RmsNorm>& norm) {
    const at::Tensor heads = heads_of(projection);
    return ops::rotary(norm ? (*norm)(heads) : heads, rotary.cos, rotary.sin);
  };
  return {turned(q_proj, q_norm), turned(k_proj, k_norm), heads_of(v_proj)};
}

double Attention::scale() const {
  return 1.0 / std::sqrt(static_cast<double>(head_dim));
}

at::Tensor Attention::attend(const Heads& heads, std::span<const std::int64_t> segments) const {
  const auto& [q, k, v] = heads;
  return o_proj(ops::packed_causal_attention(q, k, v, segments, {scale(), window}).flatten(1));
}

at::Tensor Attention::forward(const at::Tensor& x, const RotaryTable& rotary,
                              std::span<const std::int64_t> segments,
                              types::AttentionInputs* taken) const {
  const Heads heads = project(x, rotary);
  if (taken != nullptr) *taken = {heads.q, heads.k, scale()};
  return attend(heads, segments);
}

at::Tensor Attention::forward_cached(const at::Tensor& x, const RotaryTable& rotary, KvCache& cache,
                                     std::int64_t layer) const {
  const Heads heads = project(x, rotary);
  const auto [keys, values] = cache.append(layer, heads.k, heads.v);
  if (cache.length() == 0) return attend(heads, std::array<std::int64_t, 2>{0, x.size(0)});
  return o_proj(attend_to_cache(heads.q, keys, values, {.scale = scale(), .window = window}));
}

}  // namespace distill::nn
