#include "nn/cached_attention.h"

#include <algorithm>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>

namespace distill::nn {

namespace {

/// True where query i, at position total - n + i, must not look: [n, total].
at::Tensor hidden_keys(std::int64_t n, std::int64_t total, std::int64_t window,
                       const at::TensorOptions& options) {
  const at::Tensor all = at::ones({n, total}, options.dtype(at::kBool));
  at::Tensor hidden = all.triu(total - n + 1);
  if (window > 0 && window < total) hidden = hidden.logical_or(all.tril(total - n - window));
  return hidden;
}

}  // namespace

at::Tensor attend_to_cache(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const CachedAttentionOptions& options) {
  const std::int64_t n = q.size(0), heads = q.size(1), dim = q.size(2), value_dim = v.size(2);
  const std::int64_t kv_heads = k.size(0), group = heads / kv_heads;
  // Keys that are behind the first query's window are behind everyone's.
  const std::int64_t seen =
      options.window > 0 ? std::min(k.size(1), options.window + n - 1) : k.size(1);
  const at::Tensor keys = k.narrow(1, k.size(1) - seen, seen).to(at::kFloat);
  const at::Tensor values = v.narrow(1, v.size(1) - seen, seen).to(at::kFloat);
  const at::Tensor queries = (q.to(at::kFloat) * options.scale)
                                 .view({n, kv_heads, group, dim})
                                 .permute({1, 2, 0, 3})
                                 .reshape({kv_heads, group * n, dim});
  at::Tensor scores = at::bmm(queries, keys.transpose(1, 2));
  if (n > 1) {
    scores.view({kv_heads, group, n, seen})
        .masked_fill_(hidden_keys(n, seen, options.window, scores.options()),
                      -std::numeric_limits<double>::infinity());
  }
  return at::bmm(at::softmax(scores, -1), values)
      .view({kv_heads, group, n, value_dim})
      .permute({2, 0, 1, 3})
      .reshape({n, heads * value_dim})
      .to(q.scalar_type());
}

}  // namespace distill::nn
