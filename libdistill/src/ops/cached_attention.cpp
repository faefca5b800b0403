#include <algorithm>
#include <array>
#include <limits>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <distill/ops/attention.h>

#include "ops/attention_brgemm.h"
#include "ops/attention_checks.h"
#include "ops/segments.h"

namespace distill::ops {
namespace {

constexpr const char* kOp = "cached_attention";

void check(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  check_queries(q, k, v, kOp);
  TORCH_CHECK(k.dim() == 3 && k.size(1) >= q.size(0) && k.size(2) == q.size(2) && k.size(0) > 0 &&
                  q.size(1) % k.size(0) == 0,
              kOp, ": `k` is ", k.sizes(), ", expected [a divisor of ", q.size(1), ", at least ",
              q.size(0), ", ", q.size(2), "] for `q` ", q.sizes());
  TORCH_CHECK(v.dim() == 3 && v.size(0) == k.size(0) && v.size(1) == k.size(1), kOp, ": `v` is ",
              v.sizes(), ", expected [", k.size(0), ", ", k.size(1), ", Dv] for `k` ", k.sizes());
}

/// True where query i, at position total - n + i, must not look: [n, total].
at::Tensor hidden_keys(std::int64_t n, std::int64_t total, std::int64_t window, at::Device device) {
  const at::Tensor all = at::ones({n, total}, at::TensorOptions(at::kBool).device(device));
  const at::Tensor future = all.triu(total - n + 1);
  return window > 0 ? future.logical_or(all.tril(total - n - window)) : future;
}

/// For types and machines without the fused kernel.
at::Tensor composed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const AttentionOptions& options) {
  const std::int64_t n = q.size(0), heads = q.size(1), size = q.size(2);
  const std::int64_t kv_heads = k.size(0), total = k.size(1), group = heads / kv_heads;
  const at::ScalarType type = accumulator_type(q.scalar_type());
  const at::Tensor queries = (q.to(type) * options.scale)
                                 .reshape({n, kv_heads, group, size})
                                 .permute({1, 2, 0, 3})
                                 .reshape({kv_heads, group * n, size});
  at::Tensor scores = at::bmm(queries, k.to(type).transpose(1, 2));
  if (n > 1) {
    scores.view({kv_heads, group, n, total})
        .masked_fill_(hidden_keys(n, total, options.window, q.device()),
                      -std::numeric_limits<double>::infinity());
  }
  return at::bmm(at::softmax(scores, -1), v.to(type))
      .view({kv_heads, group, n, v.size(2)})
      .permute({2, 0, 1, 3})
      .reshape({n, heads, v.size(2)})
      .to(q.scalar_type());
}

/// One new token on a GPU: the fused kernel reads a bf16 cache as it is, grouped heads included.
bool sdpa_fits(const at::Tensor& q, const at::Tensor& v) {
  return q.is_cuda() && q.scalar_type() == at::kBFloat16 && q.size(0) == 1 && q.size(2) % 8 == 0 &&
         q.size(2) <= 256 && v.size(2) == q.size(2);
}

at::Tensor by_sdpa(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale) {
  return at::scaled_dot_product_attention(q.transpose(0, 1).unsqueeze(0), k.unsqueeze(0),
                                          v.unsqueeze(0), {}, 0.0, /*is_causal=*/false, scale,
                                          q.size(1) != k.size(0))
      .squeeze(0)
      .transpose(0, 1);
}

/// Arguments are checked.
at::Tensor of_sequence(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const AttentionOptions& options) {
  const c10::NoGradGuard no_graph;  // of each thread
  const std::int64_t n = q.size(0);
  // Keys that are behind the first query's window are behind everyone's.
  const std::int64_t seen = options.window > 0
                                ? std::min(k.size(1), std::min(options.window, k.size(1)) + n - 1)
                                : k.size(1);
  const auto newest = [&](const at::Tensor& x) { return x.narrow(1, x.size(1) - seen, seen); };
  const std::array<std::int64_t, 2> segments{0, seen};
  const AttentionProblem problem{
      q, newest(k).transpose(0, 1), newest(v).transpose(0, 1), segments, options, seen - n};
  if (brgemm_attention_fits(problem)) return brgemm_attention(problem).output;
  if (sdpa_fits(q, v)) return by_sdpa(q, newest(k), newest(v), options.scale);
  return composed(q, newest(k), newest(v), options);
}

}  // namespace

at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionOptions& options) {
  check(q, k, v);
  check_options(options, kOp);
  return of_sequence(q, k, v, options);
}

at::Tensor cached_attention(const at::Tensor& q, std::span<const std::int64_t> segments,
                            std::span<const CachedKeys> caches, const AttentionOptions& options) {
  check_options(options, kOp);
  TORCH_CHECK(!caches.empty() && segments.size() == caches.size() + 1, kOp, ": `segments` has ",
              segments.size(), " borders, expected one more than the ", caches.size(),
              " entries of `caches`, of which there is at least one");
  check_queries(q, caches[0].k, caches[0].v, kOp);
  check_segments(segments, q.size(0), kOp);
  const auto queries = [&](std::size_t s) {
    return q.narrow(0, segments[s], segments[s + 1] - segments[s]);
  };
  for (std::size_t s = 0; s < caches.size(); ++s) {
    check(queries(s), caches[s].k, caches[s].v);
    TORCH_CHECK(caches[s].v.size(2) == caches[0].v.size(2), kOp, ": `v` of sequence ", s, " is ",
                caches[s].v.sizes(), ", expected values of size ", caches[0].v.size(2),
                " as of the first");
  }
  if (caches.size() == 1) return of_sequence(q, caches[0].k, caches[0].v, options);
  at::Tensor out = at::empty({q.size(0), q.size(1), caches[0].v.size(2)}, q.options());
  const bool inference = c10::InferenceMode::is_enabled();
  // Each thread would start its work on a stream of its own.
  const std::int64_t at_once = q.is_cpu() ? 1 : std::ssize(caches);
  at::parallel_for(0, std::ssize(caches), at_once, [&](std::int64_t begin, std::int64_t end) {
    const c10::InferenceMode as_the_caller(inference);
    for (auto s = static_cast<std::size_t>(begin); s < static_cast<std::size_t>(end); ++s) {
      const at::Tensor own = of_sequence(queries(s), caches[s].k, caches[s].v, options);
      out.narrow(0, segments[s], own.size(0)).copy_(own);
    }
  });
  return out;
}

}  // namespace distill::ops
