// The block's parts against plain formulas in fp64.
#include <cmath>
#include <limits>
#include <optional>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include <distill/nn/attention.h>
#include <distill/nn/kv_cache.h>
#include <distill/nn/mlp.h>

#include "support/cached_pieces.h"
#include "support/tensor_compare.h"

namespace distill::nn {
namespace {

using testing::relative_error;

constexpr std::int64_t kHidden = 24, kHeads = 6, kKvHeads = 2, kDim = 8;

Linear random_linear(std::int64_t out, std::int64_t in, bool bias) {
  return {at::randn({out, in}) * 0.3, bias ? at::randn({out}) : at::Tensor()};
}

struct Kind {
  bool bias = false;
  std::int64_t window = 0;
  bool norms = false;
};

Attention random_attention(const Kind& kind) {
  Attention block{random_linear(kHeads * kDim, kHidden, kind.bias),
                  random_linear(kKvHeads * kDim, kHidden, kind.bias),
                  random_linear(kKvHeads * kDim, kHidden, kind.bias),
                  random_linear(kHidden, kHeads * kDim, kind.bias), kDim};
  block.window = kind.window;
  if (kind.norms) {
    block.q_norm = {at::randn({kDim}), 1e-5};
    block.k_norm = {at::randn({kDim}), 1e-5};
  }
  return block;
}

at::Tensor project(const Linear& linear, const at::Tensor& x) {
  const at::Tensor y = at::matmul(x, linear.weight.to(at::kDouble).t());
  return linear.bias.defined() ? y + linear.bias.to(at::kDouble) : y;
}

at::Tensor norm(const std::optional<RmsNorm>& layer, const at::Tensor& x) {
  if (!layer) return x;
  return x * ((x * x).mean(-1, true) + layer->eps).rsqrt() * layer->weight.to(at::kDouble);
}

at::Tensor rotate(const at::Tensor& x, const RotaryTable& table) {
  const at::Tensor cos = table.cos.to(at::kDouble).unsqueeze(1),
                   sin = table.sin.to(at::kDouble).unsqueeze(1);
  const at::Tensor a = x.narrow(-1, 0, kDim / 2), b = x.narrow(-1, kDim / 2, kDim / 2);
  return at::cat({a * cos - b * sin, b * cos + a * sin}, -1);
}

at::Tensor attention_fp64(const Attention& block, const at::Tensor& x, const RotaryTable& table) {
  const std::int64_t n = x.size(0), group = kHeads / kKvHeads;
  const at::Tensor q =
      rotate(norm(block.q_norm, project(block.q_proj, x).view({n, kHeads, kDim})), table)
          .transpose(0, 1);
  const at::Tensor keys = norm(block.k_norm, project(block.k_proj, x).view({n, kKvHeads, kDim}));
  const at::Tensor k = rotate(keys, table).repeat_interleave(group, 1).transpose(0, 1);
  const at::Tensor v = project(block.v_proj, x)
                           .view({n, kKvHeads, kDim})
                           .repeat_interleave(group, 1)
                           .transpose(0, 1);
  at::Tensor unseen = at::ones({n, n}, at::kBool).triu(1);
  if (block.window > 0) unseen = unseen.logical_or(at::ones({n, n}, at::kBool).tril(-block.window));
  const at::Tensor scores =
      (at::matmul(q, k.transpose(1, 2)) / std::sqrt(static_cast<double>(kDim)))
          .masked_fill(unseen, -std::numeric_limits<double>::infinity());
  return project(
      block.o_proj,
      at::matmul(at::softmax(scores, -1), v).transpose(0, 1).reshape({n, kHeads * kDim}));
}

class AttentionBlock : public ::testing::TestWithParam<Kind> {};

TEST_P(AttentionBlock, MatchesTheFormula) {
  const Attention block = random_attention(GetParam());
  const at::Tensor x = at::randn({21, kHidden});
  const RotaryTable table = rotary_table(inverse_frequencies(kDim, {}), at::arange(21, at::kLong));
  const at::Tensor expected = attention_fp64(block, x.to(at::kDouble), table);
  EXPECT_LT(relative_error(block.forward(x, table, std::vector<std::int64_t>{0, 21}), expected),
            2e-6);
}

TEST_P(AttentionBlock, CachedMatchesTheFormula) {
  const Attention block = random_attention(GetParam());
  const at::Tensor x = at::randn({21, kHidden});
  const RotaryTable table = rotary_table(inverse_frequencies(kDim, {}), at::arange(21, at::kLong));
  const at::Tensor expected = attention_fp64(block, x.to(at::kDouble), table);
  KvCache cache({.num_layers = 1, .kv_heads = kKvHeads, .head_dim = kDim, .options = x.options()});
  EXPECT_LT(relative_error(testing::in_cached_pieces(block, x, table, cache), expected), 2e-6);
}

INSTANTIATE_TEST_SUITE_P(Kinds, AttentionBlock,
                         ::testing::Values(Kind{}, Kind{.bias = true}, Kind{.window = 1},
                                           Kind{.window = 5}, Kind{.window = 30},
                                           Kind{.window = 6, .norms = true}));

TEST(SwigluMlp, MatchesTheFormula) {
  const SwigluMlp mlp{random_linear(40, kHidden, true), random_linear(40, kHidden, false),
                      random_linear(kHidden, 40, true)};
  const at::Tensor x = at::randn({9, kHidden}), wide = x.to(at::kDouble);
  const at::Tensor gate = project(mlp.gate_proj, wide);
  const at::Tensor expected =
      project(mlp.down_proj, gate * at::sigmoid(gate) * project(mlp.up_proj, wide));
  EXPECT_LT(relative_error(mlp(x), expected), 2e-6);
}

}  // namespace
}  // namespace distill::nn
