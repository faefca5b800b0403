#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace distill::nn {

/// How a query sees the keys.
struct CachedAttentionOptions {
  double scale = 1.0;
  std::int64_t window = 0;  ///< above 0: a query sees this many newest keys, itself included
};

/// q [n, heads, D] against keys [kv_heads, T, D] and values [kv_heads, T, Dv]; query i stands at
/// position T - n + i. Products and softmax in fp32. Returns [n, heads * Dv] in q's dtype.
at::Tensor attend_to_cache(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const CachedAttentionOptions& options);

}  // namespace distill::nn
