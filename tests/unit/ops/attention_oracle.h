#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>

#include <distill/ops/attention.h>

#include "support/op_check.h"

namespace distill::ops::attention_test {

using testing::normal;
using testing::Op;
using testing::Tensors;
using Segments = std::vector<std::int64_t>;

constexpr double kScale = 0.3;

inline Op ours(const Segments& segments, std::int64_t window = 0) {
  return [segments, window](const Tensors& in) -> Tensors {
    return {packed_causal_attention(in[0], in[1], in[2], segments, {kScale, window})};
  };
}

/// Full scores of each segment with a mask, key and value heads repeated.
inline Op oracle(const Segments& segments, std::int64_t window = 0) {
  return [segments, window](const Tensors& in) -> Tensors {
    const std::int64_t repeats = in[0].size(1) / in[1].size(1);
    Tensors parts;
    for (std::size_t s = 1; s < segments.size(); ++s) {
      const std::int64_t length = segments[s] - segments[s - 1];
      const auto rows = [&](const at::Tensor& x) { return x.narrow(0, segments[s - 1], length); };
      const at::Tensor k = rows(in[1]).repeat_interleave(repeats, 1);
      const at::Tensor v = rows(in[2]).repeat_interleave(repeats, 1);
      at::Tensor hidden = at::ones({length, length}, at::kBool).triu(1);
      if (window > 0) hidden = hidden | at::ones({length, length}, at::kBool).tril(-window);
      const at::Tensor scores = (at::einsum("qhd,khd->hqk", {rows(in[0]), k}) * kScale)
                                    .masked_fill(hidden, -std::numeric_limits<double>::infinity());
      parts.push_back(at::einsum("hqk,khd->qhd", {scores.softmax(-1), v}));
    }
    return {at::cat(parts)};
  };
}

inline Tensors inputs(std::int64_t rows, std::int64_t heads, std::int64_t kv_heads,
                      std::int64_t size, std::int64_t value_size = 0) {
  return {normal({rows, heads, size}, 1), normal({rows, kv_heads, size}, 2),
          normal({rows, kv_heads, value_size > 0 ? value_size : size}, 3)};
}

}  // namespace distill::ops::attention_test
