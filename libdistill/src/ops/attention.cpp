#include <distill/ops/attention.h>

#include <cmath>
#include <optional>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include "ops/kernel_call.h"
#include "ops/segments.h"

namespace distill::ops {
namespace {

void check(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  check_float_on_cpu(q, "packed_causal_attention", "q");
  check_same_type(k, q, "packed_causal_attention", "k");
  check_same_type(v, q, "packed_causal_attention", "v");
  TORCH_CHECK(q.dim() == 3, "packed_causal_attention: `q` is ", q.sizes(),
              ", expected [N, heads, D]");
  TORCH_CHECK(k.dim() == 3 && k.size(0) == q.size(0) && k.size(2) == q.size(2) && k.size(1) > 0 &&
                  q.size(1) % k.size(1) == 0,
              "packed_causal_attention: `k` is ", k.sizes(), ", expected [", q.size(0),
              ", a divisor of ", q.size(1), ", ", q.size(2), "] for `q` ", q.sizes());
  TORCH_CHECK(v.dim() == 3 && v.size(0) == k.size(0) && v.size(1) == k.size(1),
              "packed_causal_attention: `v` is ", v.sizes(), ", expected [", k.size(0), ", ",
              k.size(1), ", Dv] for `k` ", k.sizes());
}

void check(const AttentionOptions& options) {
  TORCH_CHECK(std::isfinite(options.scale), "packed_causal_attention: `scale` is ", options.scale,
              ", expected a finite number");
  TORCH_CHECK(options.window >= 0, "packed_causal_attention: `window` is ", options.window,
              ", expected a number of keys, or 0 for all");
}

/// [count * length, heads, D] -> [count, heads, length, D], a view.
at::Tensor batch(const at::Tensor& x, std::int64_t count, std::int64_t length) {
  return x.unflatten(0, {count, length}).transpose(1, 2);
}

struct Run {
  std::int64_t begin = 0;
  std::int64_t length = 0;  ///< of each segment
  std::int64_t count = 0;
};

/// Neighbouring segments of equal length become one batched call.
std::vector<Run> group(std::span<const std::int64_t> segments) {
  std::vector<Run> runs;
  for (std::size_t s = 1; s < segments.size(); ++s) {
    const std::int64_t length = segments[s] - segments[s - 1];
    if (length == 0) continue;
    if (!runs.empty() && runs.back().length == length) {
      ++runs.back().count;
    } else {
      runs.push_back({.begin = segments[s - 1], .length = length, .count = 1});
    }
  }
  return runs;
}

/// True where a query [rows] sees a key [columns]; undefined where that is every key before it.
at::Tensor window_mask(std::int64_t length, std::int64_t window) {
  if (window == 0 || window >= length) return {};
  return at::ones({length, length}, at::kBool).tril().triu(1 - window);
}

}  // namespace

at::Tensor packed_causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                   std::span<const std::int64_t> segments,
                                   const AttentionOptions& options) {
  check(q, k, v);
  check(options);
  check_segments(segments, q.size(0), "packed_causal_attention");
  const bool grouped = q.size(1) != k.size(1);
  std::vector<at::Tensor> parts;
  for (const Run& run : group(segments)) {
    const auto rows = [&](const at::Tensor& x) {
      return batch(x.narrow(0, run.begin, run.count * run.length), run.count, run.length);
    };
    const at::Tensor mask = window_mask(run.length, options.window);
    const at::Tensor out = at::scaled_dot_product_attention(
        rows(q), rows(k), rows(v), mask.defined() ? std::optional(mask) : std::nullopt, 0.0,
        !mask.defined(), options.scale, grouped);
    parts.push_back(out.transpose(1, 2).flatten(0, 1));
  }
  if (parts.empty()) return (q.sum(-1, true) * 0.0).expand({0, q.size(1), v.size(2)});
  return parts.size() == 1 ? parts[0].contiguous() : at::cat(parts);
}

}  // namespace distill::ops
