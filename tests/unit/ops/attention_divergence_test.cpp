#include <distill/ops/attention_divergence.h>

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "support/op_check.h"
#include "support/tolerance.h"
#include "support/torch_error.h"

namespace distill::ops {
namespace {

using testing::normal;
using testing::Op;
using testing::relative_error;
using testing::Tensors;
using Segments = std::vector<std::int64_t>;

/// Heads of both models; sizes of a head differ, too.
struct Heads {
  std::int64_t student, student_kv, teacher, teacher_kv;
};
constexpr Heads kSame{4, 2, 4, 4};
constexpr Heads kOther{6, 2, 4, 1};

/// A case whose inputs are given to an operator in this order: student q and k, teacher q and k.
struct Case {
  Heads heads = kSame;
  Segments segments = {};
  at::Tensor valid = {};
  at::Tensor weights = {};
  std::int64_t workspace_bytes = std::int64_t{64} << 20;
};

Tensors inputs(const Case& c, double scale = 1.5) {
  const std::int64_t n = c.segments.back();
  return {normal({n, c.heads.student, 8}, 1, scale), normal({n, c.heads.student_kv, 8}, 2, scale),
          normal({n, c.heads.teacher, 6}, 3, scale), normal({n, c.heads.teacher_kv, 6}, 4, scale)};
}

at::Tensor divergence(const Case& c, const Tensors& in) {
  AttentionDivergenceInput input;
  input.student = {in[0], in[1], 0.4};
  input.teacher = {in[2], in[3], 0.5};
  input.segments = c.segments;
  input.valid = c.valid;
  input.weights = c.weights;
  input.workspace_bytes = c.workspace_bytes;
  return attention_divergence(input);
}

/// [heads, n, n] of one segment.
at::Tensor full_maps(const at::Tensor& q, const at::Tensor& k, double scale) {
  const std::int64_t n = q.size(0);
  const at::Tensor keys = k.repeat_interleave(q.size(1) / k.size(1), 1);
  const at::Tensor future = at::ones({n, n}, at::kBool).triu(1);
  return (at::einsum("qhd,khd->hqk", {q, keys}) * scale)
      .masked_fill(future, -std::numeric_limits<double>::infinity())
      .softmax(-1);
}

/// The definition, in float64, with whole maps.
at::Tensor oracle(const Case& c, const Tensors& in) {
  at::Tensor total = at::zeros({}, at::kDouble);
  for (std::size_t s = 1; s < c.segments.size(); ++s) {
    const std::int64_t begin = c.segments[s - 1], length = c.segments[s] - begin;
    const auto rows = [&](const at::Tensor& x) { return x.narrow(0, begin, length); };
    at::Tensor student = full_maps(rows(in[0]), rows(in[1]), 0.4);
    at::Tensor teacher = full_maps(rows(in[2]), rows(in[3]), 0.5);
    if (student.size(0) != teacher.size(0)) {
      student = student.mean(0, true);
      teacher = teacher.mean(0, true);
    }
    const at::Tensor future = at::ones({length, length}, at::kBool).triu(1);
    const auto log_of = [&](const at::Tensor& maps) { return maps.masked_fill(future, 1.0).log(); };
    at::Tensor kl = (teacher * (log_of(teacher) - log_of(student))).sum(-1).mean(0);
    if (c.weights.defined()) kl = kl * rows(c.weights);
    if (c.valid.defined()) kl = kl.masked_select(rows(c.valid));
    total = total + kl.sum();
  }
  return total;
}

Op as_op(const Case& c) {
  return [c](const Tensors& in) -> Tensors { return {divergence(c, in)}; };
}

/// Value and both gradients of the student, with the teacher as a constant.
struct Result {
  double value;
  at::Tensor q_grad, k_grad;
};
template <class Form>
Result run(const Form& form, const Case& c, const Tensors& in, at::ScalarType type) {
  Tensors leaves;
  for (const at::Tensor& x : in) leaves.push_back(x.to(type, false, true));
  leaves[0].requires_grad_();
  leaves[1].requires_grad_();
  const at::Tensor sum = form(c, leaves);
  sum.backward();
  return {sum.template item<double>(), leaves[0].grad(), leaves[1].grad()};
}

at::Tensor every_third_masked(std::int64_t n) {
  return at::arange(n, at::kLong).remainder(3) != 1;
}

TEST(AttentionDivergence, LikeFloat64) {
  for (const Heads& heads : {kSame, kOther}) {
    Case c{.heads = heads, .segments = {0, 1, 7, 7, 40}};
    c.valid = every_third_masked(40);
    c.weights = normal({40}, 9).abs();
    for (const auto type : {at::kDouble, at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(c10::toString(type));
      Tensors in = inputs(c);
      for (at::Tensor& x : in) x = x.to(type).to(at::kDouble);
      const Result expected = run(oracle, c, in, at::kDouble);
      const Result got = run(divergence, c, in, type);
      const auto tolerance = testing::tolerance_of(type);
      EXPECT_NEAR(got.value, expected.value, tolerance.value * expected.value);
      EXPECT_EQ(got.q_grad.scalar_type(), type);
      EXPECT_LT(relative_error(got.q_grad, expected.q_grad), tolerance.gradient);
      EXPECT_LT(relative_error(got.k_grad, expected.k_grad), tolerance.gradient);
    }
  }
}

TEST(AttentionDivergence, GradientsLikeDifferences) {
  for (const Heads& heads : {Heads{2, 1, 2, 2}, Heads{2, 1, 3, 1}}) {
    const Case c{.heads = heads, .segments = {0, 2, 6}, .valid = every_third_masked(6)};
    const Tensors in = inputs(c);
    const Op op = [&](const Tensors& student) {
      return as_op(c)({student[0], student[1], in[2], in[3]});
    };
    testing::expect_gradients_like_differences(op, {in[0], in[1]});
  }
}

TEST(AttentionDivergence, AnyBlockSizeGivesTheSame) {
  for (const Heads& heads : {kSame, kOther}) {
    Case c{.heads = heads, .segments = {0, 30, 33}, .valid = every_third_masked(33)};
    const Tensors in = inputs(c);
    const Result whole = run(divergence, c, in, at::kDouble);
    for (const std::int64_t bytes : {std::int64_t{1}, std::int64_t{40'000}}) {
      c.workspace_bytes = bytes;
      const Result blocks = run(divergence, c, in, at::kDouble);
      EXPECT_NEAR(blocks.value, whole.value, 1e-12 * whole.value);
      EXPECT_LT(relative_error(blocks.q_grad, whole.q_grad), 1e-13);
      EXPECT_LT(relative_error(blocks.k_grad, whole.k_grad), 1e-13);
    }
  }
}

TEST(AttentionDivergence, PackedEqualsSeparate) {
  const Case packed{.segments = {0, 5, 6, 20}};
  const Tensors in = inputs(packed);
  const Result together = run(divergence, packed, in, at::kFloat);
  double value = 0;
  for (std::size_t s = 1; s < packed.segments.size(); ++s) {
    const std::int64_t begin = packed.segments[s - 1], length = packed.segments[s] - begin;
    Tensors part;
    for (const at::Tensor& x : in) part.push_back(x.narrow(0, begin, length));
    const Result alone = run(divergence, {.segments = {0, length}}, part, at::kFloat);
    value += alone.value;
    EXPECT_TRUE(at::equal(together.q_grad.narrow(0, begin, length), alone.q_grad)) << s;
    EXPECT_TRUE(at::equal(together.k_grad.narrow(0, begin, length), alone.k_grad)) << s;
  }
  EXPECT_NEAR(together.value, value, 1e-6 * value);
}

TEST(AttentionDivergence, EqualModelsGiveExactlyZero) {
  const std::int64_t n = 30;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    AttentionDivergenceInput input;
    const at::Tensor q = normal({n, 4, 8}, 1, 3.0).to(type), k = normal({n, 2, 8}, 2, 3.0).to(type);
    input.student = {q.clone().requires_grad_(), k.clone().requires_grad_(), 0.35};
    input.teacher = {q, k, 0.35};
    const Segments segments{0, 11, n};
    input.segments = segments;
    const at::Tensor sum = attention_divergence(input);
    EXPECT_EQ(sum.item<double>(), 0.0);
    sum.backward();
    EXPECT_EQ(input.student.q.grad().abs().max().item<double>(), 0.0);
    EXPECT_EQ(input.student.k.grad().abs().max().item<double>(), 0.0);
  }
}

// Scores that are a hundred apart make maps with entries far below what fp32 can hold.
TEST(AttentionDivergence, StaysFiniteForSharpMaps) {
  for (const Heads& heads : {kSame, kOther}) {
    const Case c{.heads = heads, .segments = {0, 25}};
    Tensors in = inputs(c, 6.0);
    for (at::Tensor& x : in) x = x.to(at::kFloat).to(at::kDouble);
    const Result expected = run(oracle, c, in, at::kDouble);
    const Result got = run(divergence, c, in, at::kFloat);
    ASSERT_TRUE(std::isfinite(expected.value));
    EXPECT_NEAR(got.value, expected.value, 1e-4 * expected.value);
    EXPECT_LT(relative_error(got.q_grad, expected.q_grad), 1e-4);
  }
}

TEST(AttentionDivergence, MaskedQueriesMayHoldAnything) {
  Case c{.segments = {0, 4, 12}};
  // Of the second segment only positions 5 and 6 count.
  c.valid = at::zeros({12}, at::kBool);
  c.valid.narrow(0, 5, 2).fill_(true);
  c.weights = at::ones({12}, at::kDouble);
  const Tensors in = inputs(c);
  const Result clean = run(divergence, c, in, at::kDouble);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Tensors harmed;
  for (const at::Tensor& x : in) harmed.push_back(x.clone());
  for (at::Tensor& x : harmed) {
    x.narrow(0, 0, 4).fill_(nan);
    x.narrow(0, 7, 5).fill_(nan);
  }
  harmed[0].select(0, 4).fill_(nan);
  harmed[2].select(0, 4).fill_(nan);
  Case bad = c;
  bad.weights = c.weights.masked_fill(~c.valid, nan);
  const Result got = run(divergence, bad, harmed, at::kDouble);
  EXPECT_EQ(got.value, clean.value);
  EXPECT_TRUE(at::equal(got.q_grad, clean.q_grad));
  EXPECT_TRUE(at::equal(got.k_grad, clean.k_grad));
  EXPECT_EQ(got.q_grad.masked_select((~c.valid).view({12, 1, 1})).abs().max().item<double>(), 0.0);
  EXPECT_EQ(got.k_grad.narrow(0, 7, 5).abs().max().item<double>(), 0.0);
  EXPECT_GT(got.k_grad.select(0, 4).abs().max().item<double>(), 0.0);  // seen by 5 and 6
}

TEST(AttentionDivergence, NoValidRowIsZeroWithALiveGraph) {
  Case c{.segments = {0, 6}, .valid = at::zeros({6}, at::kBool)};
  const Result got = run(divergence, c, inputs(c), at::kFloat);
  EXPECT_EQ(got.value, 0.0);
  EXPECT_EQ(got.q_grad.abs().sum().item<double>(), 0.0);
}

TEST(AttentionDivergence, TheTeacherGetsNoGradientAndTheFirstTokenIsFree) {
  const Case c{.segments = {0, 1, 2, 3}};
  Tensors in = inputs(c);
  for (at::Tensor& x : in) x.requires_grad_();
  const at::Tensor sum = divergence(c, in);
  sum.backward();
  EXPECT_FALSE(in[2].grad().defined());
  EXPECT_FALSE(in[3].grad().defined());
  EXPECT_EQ(sum.item<double>(), 0.0);  // a token that sees itself only has one map
}

TEST(AttentionDivergence, RefusesWhatDoesNotFit) {
  const Case c{.segments = {0, 6}};
  const Tensors in = inputs(c);
  const auto message = [&](const Case& other, std::size_t place, const at::Tensor& x) {
    Tensors changed = in;
    changed[place] = x;
    return testing::torch_error_of([&] { divergence(other, changed); });
  };
  EXPECT_EQ(message(c, 0, at::Tensor()),
            "attention_divergence: `student.q` is undefined, expected a tensor");
  EXPECT_EQ(message(c, 1, normal({6, 3, 8}, 1)),
            "attention_divergence: `student.k` is [6, 3, 8], expected [6, a divisor of 4, 8] for "
            "`student.q` [6, 4, 8]");
  EXPECT_EQ(message(c, 3, in[3].to(at::kFloat)),
            "attention_divergence: `teacher.k` is Float, expected Double as the first argument");
  EXPECT_EQ(message({.segments = {0, 5}}, 0, in[0]),
            "attention_divergence: `segments` runs from 0 to 5, expected 0 to 6");
  EXPECT_EQ(message({.segments = {0, 6}, .valid = at::ones({5}, at::kBool)}, 0, in[0]),
            "attention_divergence: `valid` must be Bool [6]");
  const Tensors longer = inputs({.segments = {0, 7}});
  EXPECT_EQ(testing::torch_error_of([&] {
              divergence(c, {in[0], in[1], longer[2], longer[3]});
            }),
            "attention_divergence: `teacher.q` has 7 rows, expected 6 as `student.q`");
}

}  // namespace
}  // namespace distill::ops
