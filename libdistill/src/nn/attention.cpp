#include <distill/nn/attention.h>

#include <array>
#include <cmath>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>

#include <distill/ops/attention.h>
#include <distill/ops/rotary.h>

namespace distill::nn {

namespace {

/// q [n, heads, D] against keys and values [kv_heads, T, D]; query i stands at position T - n + i.
/// Products and softmax in fp32.
at::Tensor attend_to_cache(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           double scale) {
  const std::int64_t n = q.size(0), heads = q.size(1), dim = q.size(2);
  const std::int64_t kv_heads = k.size(0), total = k.size(1), group = heads / kv_heads;
  const at::Tensor queries = (q.to(at::kFloat) * scale)
                                 .view({n, kv_heads, group, dim})
                                 .permute({1, 2, 0, 3})
                                 .reshape({kv_heads, group * n, dim});
  at::Tensor scores = at::bmm(queries, k.to(at::kFloat).transpose(1, 2));
  if (n > 1) {
    const at::Tensor hidden =
        at::ones({n, total}, scores.options().dtype(at::kBool)).triu(total - n + 1);
    scores.view({kv_heads, group, n, total})
        .masked_fill_(hidden, -std::numeric_limits<double>::infinity());
  }
  return at::bmm(at::softmax(scores, -1), v.to(at::kFloat))
      .view({kv_heads, group, n, dim})
      .permute({2, 0, 1, 3})
      .reshape({n, heads * dim})
      .to(q.scalar_type());
}

}  // namespace

Attention::Heads Attention::project(const at::Tensor& x, const RotaryTable& rotary) const {
  const std::int64_t n = x.size(0);
  return {ops::rotary(q_proj(x).view({n, -1, head_dim}), rotary.cos, rotary.sin),
          ops::rotary(k_proj(x).view({n, -1, head_dim}), rotary.cos, rotary.sin),
          v_proj(x).view({n, -1, head_dim})};
}

double Attention::scale() const {
  return 1.0 / std::sqrt(static_cast<double>(head_dim));
}

at::Tensor Attention::forward(const at::Tensor& x, const RotaryTable& rotary,
                              std::span<const std::int64_t> segments,
                              types::AttentionInputs* taken) const {
  const auto [q, k, v] = project(x, rotary);
  if (taken != nullptr) *taken = {q, k, scale()};
  return o_proj(ops::packed_causal_attention(q, k, v, segments, {scale()}).flatten(1));
}

at::Tensor Attention::forward_cached(const at::Tensor& x, const RotaryTable& rotary, KvCache& cache,
                                     std::int64_t layer) const {
  const auto [q, k, v] = project(x, rotary);
  const auto [keys, values] = cache.append(layer, k, v);
  if (cache.length() > 0) return o_proj(attend_to_cache(q, keys, values, scale()));
  const std::array<std::int64_t, 2> segments = {0, x.size(0)};
  return o_proj(ops::packed_causal_attention(q, k, v, segments, {scale()}).flatten(1));
}

}  // namespace distill::nn
