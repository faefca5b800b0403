#include "ops/attention_sdpa.h"

#include <optional>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>

namespace distill::ops {
namespace {

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

at::Tensor sdpa_attention(const AttentionProblem& problem) {
  const bool grouped = problem.q.size(1) != problem.k.size(1);
  std::vector<at::Tensor> parts;
  for (const Run& run : group(problem.segments)) {
    const auto rows = [&](const at::Tensor& x) {
      return batch(x.narrow(0, run.begin, run.count * run.length), run.count, run.length);
    };
    const at::Tensor mask = window_mask(run.length, problem.options.window);
    const at::Tensor out =
        at::scaled_dot_product_attention(rows(problem.q), rows(problem.k), rows(problem.v),
                                         mask.defined() ? std::optional(mask) : std::nullopt, 0.0,
                                         !mask.defined(), problem.options.scale, grouped);
    parts.push_back(out.transpose(1, 2).flatten(0, 1));
  }
  if (parts.empty())
    return (problem.q.sum(-1, true) * 0.0).expand({0, problem.q.size(1), problem.v.size(2)});
  return parts.size() == 1 ? parts[0].contiguous() : at::cat(parts);
}

}  // namespace distill::ops
