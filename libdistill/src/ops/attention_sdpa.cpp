#include "ops/attention_sdpa.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include "ops/brgemm.h"

namespace distill::ops {
namespace {

constexpr std::int64_t kSizeStep = 16;

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

/// [count, heads, length, size]
struct Batch {
  at::Tensor q, k, v;
};

/// LibTorch's fused kernels for GPUs: the one for bf16 reads grouped heads as they are, but takes
/// no mask and no long heads; the other ones want as many keys as queries. Without either all
/// scores are formed, which grow with the square of the length, so copies of the keys are the
/// lesser evil.
bool wants_copied_heads(const Batch& batch, bool has_mask) {
  constexpr std::int64_t kLongestHead = 256;
  return batch.q.is_cuda() &&
         (has_mask || batch.q.scalar_type() != at::kBFloat16 || batch.q.size(3) > kLongestHead);
}

at::Tensor call(const Batch& batch, const std::optional<at::Tensor>& mask, double scale) {
  const std::int64_t group = batch.q.size(1) / batch.k.size(1);
  const bool copied = group > 1 && wants_copied_heads(batch, mask.has_value());
  const auto heads = [&](const at::Tensor& x) {
    return copied ? x.repeat_interleave(group, 1) : x;
  };
  return at::scaled_dot_product_attention(batch.q, heads(batch.k), heads(batch.v), mask, 0.0,
                                          !mask.has_value(), scale, group > 1 && !copied);
}

/// Blocks of queries, each against the keys it can see: no mask grows with the length.
at::Tensor call_windowed(const Batch& batch, std::int64_t window, double scale) {
  constexpr std::int64_t kLeastBlock = 64;
  const std::int64_t length = batch.q.size(2);
  if (window == 0 || window >= length) return call(batch, {}, scale);
  const std::int64_t step = std::max(window, kLeastBlock);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < length; begin += step) {
    const std::int64_t count = std::min(step, length - begin);
    const std::int64_t oldest = std::max<std::int64_t>(0, begin - window + 1);
    const std::int64_t keys = begin + count - oldest;
    const std::int64_t ahead = begin - oldest;
    const at::Tensor mask = at::ones({count, keys}, batch.q.options().dtype(at::kBool))
                                .tril(ahead)
                                .triu(ahead - window + 1);
    parts.push_back(call({batch.q.narrow(2, begin, count), batch.k.narrow(2, oldest, keys),
                          batch.v.narrow(2, oldest, keys)},
                         mask, scale));
  }
  return at::cat(parts, 2);
}

/// With zeros behind each head: LibTorch's fused kernel wants queries, keys and values of one size,
/// and the last bits of its products depend on the thread unless rows fill whole cache lines.
at::Tensor padded(const at::Tensor& x, std::int64_t size) {
  return x.size(-1) == size ? x : at::constant_pad_nd(x, {0, size - x.size(-1)});
}

bool is_widened(const at::Tensor& q) {
  return q.is_cpu() && q.scalar_type() == at::kBFloat16 && !cpu_multiplies_bf16();
}

}  // namespace

at::Tensor sdpa_attention(const AttentionProblem& problem) {
  if (is_widened(problem.q)) {
    const auto wide = [](const at::Tensor& x) { return x.to(at::kFloat); };
    return sdpa_attention({wide(problem.q), wide(problem.k), wide(problem.v), problem.segments,
                           problem.options})
        .to(at::kBFloat16);
  }
  if (problem.options.scale < 0) {  // LibTorch's fused kernel returns NaN, on CPUs
    AttentionOptions options = problem.options;
    options.scale = -options.scale;
    return sdpa_attention({problem.q.neg(), problem.k, problem.v, problem.segments, options});
  }
  const std::int64_t value_size = problem.v.size(2);
  const std::int64_t size =
      (std::max(problem.q.size(2), value_size) + kSizeStep - 1) / kSizeStep * kSizeStep;
  const Batch all{padded(problem.q, size), padded(problem.k, size), padded(problem.v, size)};
  std::vector<at::Tensor> parts;
  for (const Run& run : group(problem.segments)) {
    const auto batch = [&](const at::Tensor& x) {
      return x.narrow(0, run.begin, run.count * run.length)
          .unflatten(0, {run.count, run.length})
          .transpose(1, 2);
    };
    const at::Tensor out = call_windowed({batch(all.q), batch(all.k), batch(all.v)},
                                         problem.options.window, problem.options.scale);
    parts.push_back(out.transpose(1, 2).flatten(0, 1));
  }
  if (parts.empty()) {
    return (problem.q.sum(-1, true) * 0.0).expand({0, problem.q.size(1), value_size});
  }
  const at::Tensor out = parts.size() == 1 ? parts[0] : at::cat(parts);
  return out.narrow(2, 0, value_size).contiguous();
}

}  // namespace distill::ops
