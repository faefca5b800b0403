// Latent attention against plain formulas in fp64, and its cache of latent vectors.
#include <cmath>
#include <limits>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include <distill/nn/kv_cache.h>
#include <distill/nn/latent_attention.h>

#include "support/cached_pieces.h"
#include "support/tensor_compare.h"

namespace distill::nn {
namespace {

using testing::relative_error;

constexpr std::int64_t kHidden = 20, kHeads = 3, kNope = 8, kRope = 6, kValue = 10, kRank = 12,
                       kQueryRank = 9, kTokens = 21;

Linear random_linear(std::int64_t out, std::int64_t in, bool bias = false) {
  return {at::randn({out, in}) * 0.3, bias ? at::randn({out}) : at::Tensor()};
}

LatentAttention random_attention(bool query_latent, bool interleaved) {
  LatentAttention block;
  if (query_latent) {
    block.query_latent = {random_linear(kQueryRank, kHidden, true),
                          {at::randn({kQueryRank}) * 0.2 + 1, 1e-6}};
  }
  block.q_proj = random_linear(kHeads * (kNope + kRope), query_latent ? kQueryRank : kHidden);
  block.kv_a_proj_with_mqa = random_linear(kRank + kRope, kHidden, true);
  block.kv_a_norm = {at::randn({kRank}) * 0.2 + 1, 1e-6};
  block.kv_b_proj = random_linear(kHeads * (kNope + kValue), kRank);
  block.o_proj = random_linear(kHidden, kHeads * kValue);
  block.num_heads = kHeads;
  block.nope_dim = kNope;
  block.rope_dim = kRope;
  block.value_dim = kValue;
  block.scale = 0.4;
  block.interleaved = interleaved;
  return block;
}

at::Tensor project(const Linear& linear, const at::Tensor& x) {
  const at::Tensor y = at::matmul(x, linear.weight.to(at::kDouble).t());
  return linear.bias.defined() ? y + linear.bias.to(at::kDouble) : y;
}

at::Tensor norm(const RmsNorm& layer, const at::Tensor& x) {
  return x * ((x * x).mean(-1, true) + layer.eps).rsqrt() * layer.weight.to(at::kDouble);
}

/// Pairs are turned where they lie. x [N, heads, P].
at::Tensor turn(const at::Tensor& x, const RotaryTable& table, bool interleaved) {
  const at::Tensor cos = table.cos.to(at::kDouble).unsqueeze(1),
                   sin = table.sin.to(at::kDouble).unsqueeze(1);
  const at::Tensor a = interleaved ? x.slice(2, 0, kRope, 2) : x.slice(2, 0, kRope / 2);
  const at::Tensor b = interleaved ? x.slice(2, 1, kRope, 2) : x.slice(2, kRope / 2, kRope);
  const at::Tensor first = a * cos - b * sin, second = b * cos + a * sin;
  return interleaved ? at::stack({first, second}, 3).flatten(2) : at::cat({first, second}, 2);
}

at::Tensor attention_fp64(const LatentAttention& block, const at::Tensor& x,
                          const RotaryTable& table) {
  const std::int64_t n = x.size(0);
  const at::Tensor narrow =
      block.query_latent ? norm(block.query_latent->a_norm, project(block.query_latent->a_proj, x))
                         : x;
  const at::Tensor q = project(block.q_proj, narrow).view({n, kHeads, kNope + kRope});
  const at::Tensor kv_a = project(block.kv_a_proj_with_mqa, x);
  const at::Tensor kv = project(block.kv_b_proj, norm(block.kv_a_norm, kv_a.slice(1, 0, kRank)))
                            .view({n, kHeads, kNope + kValue});
  const at::Tensor k_rope =
      turn(kv_a.slice(1, kRank).unsqueeze(1), table, block.interleaved).expand({n, kHeads, kRope});
  const at::Tensor queries =
      at::cat({q.slice(2, 0, kNope), turn(q.slice(2, kNope), table, block.interleaved)}, 2);
  const at::Tensor keys = at::cat({kv.slice(2, 0, kNope), k_rope}, 2);
  const at::Tensor later = at::ones({n, n}, at::kBool).triu(1);
  const at::Tensor scores =
      (at::matmul(queries.transpose(0, 1), keys.permute({1, 2, 0})) * block.scale)
          .masked_fill(later, -std::numeric_limits<double>::infinity());
  const at::Tensor mixed = at::matmul(at::softmax(scores, -1), kv.slice(2, kNope).transpose(0, 1));
  return project(block.o_proj, mixed.transpose(0, 1).reshape({n, kHeads * kValue}));
}

struct Case {
  bool query_latent;
  bool interleaved;
};

class LatentAttentionBlock : public ::testing::TestWithParam<Case> {
 protected:
  LatentAttention block = random_attention(GetParam().query_latent, GetParam().interleaved);
  at::Tensor x = at::randn({kTokens, kHidden});
  RotaryTable table = rotary_table(inverse_frequencies(kRope, {}), at::arange(kTokens, at::kLong));
  at::Tensor expected = attention_fp64(block, x.to(at::kDouble), table);
};

TEST_P(LatentAttentionBlock, MatchesTheFormula) {
  types::AttentionInputs taken;
  const at::Tensor y = block.forward(x, table, std::vector<std::int64_t>{0, kTokens}, &taken);
  EXPECT_LT(relative_error(y, expected), 3e-6);
  EXPECT_EQ(taken.q.sizes(), at::IntArrayRef({kTokens, kHeads, kNope + kRope}));
  EXPECT_EQ(taken.k.sizes(), taken.q.sizes());
  EXPECT_EQ(taken.scale, 0.4);
}

TEST_P(LatentAttentionBlock, CachedMatchesTheFormula) {
  KvCache cache({.num_layers = 1,
                 .kv_heads = 1,
                 .head_dim = kRank + kRope,
                 .options = x.options(),
                 .value_dim = 0});
  EXPECT_LT(relative_error(testing::in_cached_pieces(block, x, table, cache), expected), 3e-6);
}

INSTANTIATE_TEST_SUITE_P(Cases, LatentAttentionBlock,
                         ::testing::Values(Case{true, true}, Case{false, true}, Case{true, false}));

}  // namespace
}  // namespace distill::nn
