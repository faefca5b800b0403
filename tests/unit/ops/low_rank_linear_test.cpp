#include <distill/ops/low_rank_linear.h>

#include <cmath>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <distill/ops/linear.h>

#include "support/op_check.h"
#include "support/tolerance.h"

namespace distill::ops {
namespace {

constexpr double kScale = 0.5;

at::ScalarType wide(at::ScalarType type) {
  return type == at::kBFloat16 ? at::kFloat : type;
}

struct Shape {
  std::int64_t rows, in, out, rank;
};

const Shape kShapes[] = {{1, 64, 32, 1},   {5, 7, 9, 3},   {40, 576, 192, 16},
                         {70, 64, 300, 7}, {3, 32, 2, 64}, {300, 96, 34, 2}};

testing::Tensors inputs(const Shape& s) {
  return {testing::normal({s.rows, s.in}, 1), testing::normal({s.rank, s.in}, 2, 0.1),
          testing::normal({s.out, s.rank}, 3, 0.3)};
}

at::Tensor weight_of(const Shape& s) {
  return testing::normal({s.out, s.in}, 4, 0.1).to(at::kBFloat16).to(at::kDouble);
}

at::Tensor bias_of(const Shape& s) {
  return testing::normal({s.out}, 5).to(at::kBFloat16).to(at::kDouble);
}

/// Inputs x, A, B; A and B are widened inside, so that gradients come back in `type`.
testing::Op op_of(const Shape& s, bool has_bias, const Dropout& dropout) {
  return [=](const testing::Tensors& t) -> testing::Tensors {
    const auto type = t[0].scalar_type();
    return {low_rank_linear(t[0], weight_of(s).to(type),
                            has_bias ? bias_of(s).to(type) : at::Tensor(),
                            {t[1].to(wide(type)), t[2].to(wide(type)), kScale, dropout})};
  };
}

testing::Op oracle_of(const Shape& s, bool has_bias, const Dropout& dropout) {
  return [=](const testing::Tensors& t) -> testing::Tensors {
    const at::Tensor factors = ops::dropout(at::ones_like(t[0].detach()), dropout);
    at::Tensor sum = at::mm(t[0], weight_of(s).t()) +
                     kScale * at::mm(at::mm(t[0] * factors, t[1].t()), t[2].t());
    if (has_bias) sum = sum + bias_of(s);
    return {sum};
  };
}

TEST(LowRankLinear, ValuesAndGradientsLikeFloat64) {
  for (const Shape& s : kShapes) {
    for (const Dropout& dropout : {Dropout{}, Dropout{0.25, 99}}) {
      const bool has_bias = s.rank % 2 == 1;
      const testing::Op op = op_of(s, has_bias, dropout), oracle = oracle_of(s, has_bias, dropout);
      testing::expect_like_oracle(op, oracle, inputs(s), at::kFloat);
      testing::expect_like_oracle(op, oracle, inputs(s), at::kDouble);
    }
  }
}

// The inner numbers are rounded to bf16 on the way, so sums as a whole are compared.
TEST(LowRankLinear, InBf16LikeFloat64) {
  for (const Shape& s : kShapes) {
    for (const Dropout& dropout : {Dropout{}, Dropout{0.25, 99}}) {
      testing::Tensors rounded;
      for (const at::Tensor& t : inputs(s)) rounded.push_back(t.to(at::kBFloat16).to(at::kDouble));
      const auto got = testing::evaluate(op_of(s, true, dropout), rounded, at::kBFloat16);
      const auto exact = testing::evaluate(oracle_of(s, true, dropout), rounded, at::kDouble);
      EXPECT_LE(testing::relative_error(got.outputs[0], exact.outputs[0]), 5e-3);
      for (std::size_t i = 0; i < rounded.size(); ++i) {
        EXPECT_LE(testing::relative_error(got.gradients[i], exact.gradients[i]), 5e-3)
            << i << " of " << s.rows << " " << s.in << " " << s.out << " " << s.rank;
      }
    }
  }
}

TEST(LowRankLinear, GradientsLikeDifferences) {
  const Shape s{3, 4, 6, 2};
  testing::expect_gradients_like_differences(op_of(s, true, {}), inputs(s));
  testing::expect_gradients_like_differences(op_of(s, false, {0.5, 4}), inputs(s));
}

TEST(LowRankLinear, GenerationLikeFloat64) {
  const c10::InferenceMode generating;
  for (const Shape& s : kShapes) {
    const auto t = inputs(s);
    const at::Tensor x = t[0].to(at::kBFloat16), weight = weight_of(s).to(at::kBFloat16);
    const at::Tensor got = low_rank_linear(x, weight, bias_of(s).to(at::kBFloat16),
                                           {t[1].to(at::kFloat), t[2].to(at::kFloat), kScale});
    const at::Tensor exact = oracle_of(s, true, {})({x.to(at::kDouble), t[1], t[2]})[0];
    EXPECT_LE(testing::relative_error(got, exact), 8e-3);
  }
}

TEST(LowRankLinear, WithoutAChangeItIsTheBaseToTheBit) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const Shape s{50, 128, 96, 8};
    const auto t = inputs(s);
    const at::Tensor x = t[0].to(type), weight = weight_of(s).to(type);
    const LowRank none{t[1].to(at::kFloat), at::zeros({s.out, s.rank}, at::kFloat), 2.0};
    EXPECT_TRUE(at::equal(low_rank_linear(x, weight, {}, none), linear(x, weight, at::Tensor())))
        << type;
  }
}

TEST(LowRankLinear, RowsAndThreadsChangeNoBit) {
  const Shape s{700, 128, 320, 16};
  const auto t = inputs(s);
  const at::Tensor x = t[0].to(at::kBFloat16), weight = weight_of(s).to(at::kBFloat16);
  const LowRank change{t[1].to(at::kFloat), t[2].to(at::kFloat), kScale};
  const at::Tensor all = low_rank_linear(x, weight, {}, change);
  EXPECT_TRUE(
      at::equal(low_rank_linear(x.narrow(0, 100, 37), weight, {}, change), all.narrow(0, 100, 37)));
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  EXPECT_TRUE(at::equal(low_rank_linear(x, weight, {}, change), all));
  at::set_num_threads(threads);
}

TEST(LowRankLinear, OnlyWhatIsWantedGetsAGradient) {
  const Shape s{20, 64, 32, 4};
  const auto t = inputs(s);
  const at::Tensor weight = weight_of(s).to(at::kBFloat16);
  for (const int wanted : {0, 1, 2}) {
    testing::Tensors leaves = {t[0].to(at::kBFloat16), t[1].to(at::kFloat), t[2].to(at::kFloat)};
    leaves[static_cast<std::size_t>(wanted)].requires_grad_();
    low_rank_linear(leaves[0], weight, bias_of(s).to(at::kBFloat16), {leaves[1], leaves[2], kScale})
        .sum()
        .backward();
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(leaves[static_cast<std::size_t>(i)].grad().defined(), i == wanted) << wanted;
    }
  }
}

/// q, k and v of unequal widths and ranks, the second without a change.
struct Joint {
  std::int64_t rows = 70, in = 64;
  std::vector<std::int64_t> outs = {96, 34, 32}, ranks = {16, 0, 3};

  /// x, then A and B of each changed layer.
  testing::Tensors inputs() const {
    testing::Tensors t = {testing::normal({rows, in}, 1)};
    for (std::size_t i = 0; i < outs.size(); ++i) {
      if (ranks[i] == 0) continue;
      t.push_back(testing::normal({ranks[i], in}, 10 + i, 0.1));
      t.push_back(testing::normal({outs[i], ranks[i]}, 20 + i, 0.3));
    }
    return t;
  }

  std::vector<FrozenLinear> layers(const testing::Tensors& t, double p) const {
    const auto type = t[0].scalar_type();
    std::vector<FrozenLinear> all;
    std::size_t at = 1;
    for (std::size_t i = 0; i < outs.size(); ++i) {
      FrozenLinear layer;
      layer.weight = weight_of({rows, in, outs[i], 0}).to(type);
      if (i == 1) layer.bias = bias_of({rows, in, outs[i], 0}).to(type);
      if (ranks[i] > 0) {
        layer.change = LowRank{t[at].to(wide(type)), t[at + 1].to(wide(type)), kScale, {p, 7 + i}};
        at += 2;
      }
      all.push_back(std::move(layer));
    }
    return all;
  }

  testing::Op together(double p) const {
    return [*this, p](const testing::Tensors& t) -> testing::Tensors {
      return low_rank_linears(t[0], layers(t, p));
    };
  }

  testing::Op one_by_one(double p) const {
    return [*this, p](const testing::Tensors& t) -> testing::Tensors {
      testing::Tensors each;
      for (const auto& layer : layers(t, p)) each.push_back(low_rank_linears(t[0], {layer})[0]);
      return each;
    };
  }
};

TEST(LowRankLinear, TogetherAsOneByOne) {
  const Joint joint;
  for (const double p : {0.0, 0.25}) {
    testing::expect_like_oracle(joint.together(p), joint.one_by_one(p), joint.inputs(), at::kFloat);
    testing::Tensors rounded;
    for (const auto& t : joint.inputs()) rounded.push_back(t.to(at::kBFloat16).to(at::kDouble));
    const auto got = testing::evaluate(joint.together(p), rounded, at::kBFloat16);
    const auto each = testing::evaluate(joint.one_by_one(p), rounded, at::kBFloat16);
    const auto exact = testing::evaluate(joint.one_by_one(p), rounded, at::kDouble);
    for (std::size_t i = 0; i < got.outputs.size(); ++i) {
      EXPECT_TRUE(at::equal(got.outputs[i], each.outputs[i])) << i;
    }
    for (std::size_t i = 0; i < rounded.size(); ++i) {
      EXPECT_LE(testing::relative_error(got.gradients[i], exact.gradients[i]), 5e-3) << i;
    }
  }
}

TEST(LowRankLinear, OfSeveralOnlyWhatIsWantedGetsAGradient) {
  const Joint joint;
  const auto inputs = joint.inputs();
  for (std::size_t wanted = 0; wanted < inputs.size(); ++wanted) {
    testing::Tensors leaves = {inputs[0].to(at::kBFloat16)};
    for (std::size_t i = 1; i < inputs.size(); ++i) leaves.push_back(inputs[i].to(at::kFloat));
    leaves[wanted].requires_grad_();
    const auto outs = low_rank_linears(leaves[0], joint.layers(leaves, 0));
    outs[wanted < 3 ? 0 : 2].sum().backward();  // an output that nobody uses is no trouble
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      EXPECT_EQ(leaves[i].grad().defined(), i == wanted) << wanted;
    }
  }
}

TEST(LowRankLinear, RefusesWhatDoesNotFit) {
  const Shape s{4, 6, 8, 2};
  const auto t = inputs(s);
  const at::Tensor x = t[0], weight = weight_of(s);
  const auto refused = [&](const at::Tensor& w, const at::Tensor& a, const at::Tensor& b) {
    EXPECT_THROW(low_rank_linear(x, w, {}, {a, b, 1.0}), c10::Error);
  };
  refused(weight.t(), t[1], t[2]);
  refused(weight, t[1].t(), t[2]);
  refused(weight, t[1], t[2].t());
  refused(weight, t[1].narrow(0, 0, 1), t[2]);
  refused(weight, t[1].to(at::kFloat), t[2]);
  refused(weight, {}, t[2]);
  refused(weight.clone().requires_grad_(), t[1], t[2]);
  EXPECT_THROW(low_rank_linear(x, weight, {}, {t[1], t[2], 1.0, {1.0, 0}}), c10::Error);
}

TEST(LowRankLinear, SecondDerivativeIsRefused) {
  const Shape s{4, 64, 32, 2};
  const auto t = inputs(s);
  const at::Tensor a = t[1].to(at::kFloat).requires_grad_();
  const at::Tensor out = low_rank_linear(t[0].to(at::kBFloat16), weight_of(s).to(at::kBFloat16), {},
                                         {a, t[2].to(at::kFloat), 1.0});
  if (out.grad_fn()->name().find("BrgemmLowRank") == std::string::npos)
    GTEST_SKIP() << "no bf16 products";
  EXPECT_THROW(torch::autograd::grad({out.sum()}, {a}, {}, true, true), c10::Error);
}

}  // namespace
}  // namespace distill::ops
