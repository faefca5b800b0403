#include <distill/nn/recomputed.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tanh.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "support/torch_error.h"

namespace distill::nn {
namespace {

using Tensors = std::vector<at::Tensor>;

struct Pieces {
  at::Tensor weight = at::randn({5, 5}).set_requires_grad(true);
  at::Tensor frozen = at::randn({5, 5});
  std::int64_t calls = 0;
  c10::weak_intrusive_ptr<c10::TensorImpl> inner{at::Tensor().getIntrusivePtr()};

  Piece piece() {
    return [this](const Tensors& inputs) {
      ++calls;
      const at::Tensor y = at::tanh(at::matmul(inputs[0], weight));
      inner = c10::weak_intrusive_ptr<c10::TensorImpl>(y.getIntrusivePtr());
      return Tensors{at::tanh(at::matmul(y, frozen)) * inputs[1], inputs[1] + y};
    };
  }
  Tensors parameters() const { return {weight, frozen}; }
};

TEST(Recomputed, GivesTheSameValuesAndGradients) {
  for (const bool frozen_input : {false, true}) {
    Pieces pieces;
    const at::Tensor x = at::randn({3, 5}).set_requires_grad(!frozen_input);
    const at::Tensor y = at::randn({3, 5}).set_requires_grad(true);
    const Tensors plain = pieces.piece()({x, y});
    const Tensors once = recomputed(pieces.piece(), {x, y}, pieces.parameters());
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(at::equal(plain[i], once[i]));
    Tensors wanted = {y, pieces.weight};
    if (!frozen_input) wanted.push_back(x);
    const auto gradients = [&](const Tensors& outputs) {
      return torch::autograd::grad({(outputs[0] * outputs[0]).sum() + outputs[1].sum()}, wanted);
    };
    const auto expected = gradients(plain), found = gradients(once);
    for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(at::equal(expected[i], found[i]));
  }
}

TEST(Recomputed, KeepsNothingBetweenThePasses) {
  Pieces pieces;
  const at::Tensor x = at::randn({3, 5}).set_requires_grad(true), y = at::randn({3, 5});
  Tensors outputs = recomputed(pieces.piece(), {x, y}, pieces.parameters());
  EXPECT_EQ(pieces.calls, 1);
  EXPECT_TRUE(pieces.inner.expired());
  outputs[0].sum().backward();
  EXPECT_EQ(pieces.calls, 2);
  EXPECT_TRUE(x.grad().defined());
  EXPECT_TRUE(pieces.weight.grad().defined());
}

TEST(Recomputed, TakesOutputsThatNobodyUses) {
  Pieces pieces;
  const at::Tensor x = at::randn({3, 5}).set_requires_grad(true), y = at::randn({3, 5});
  recomputed(pieces.piece(), {x, y}, pieces.parameters())[1].sum().backward();
  EXPECT_TRUE(x.grad().defined());
  EXPECT_TRUE(pieces.weight.grad().defined());
}

TEST(Recomputed, RunsOnceWhereNoGradientIsWanted) {
  Pieces pieces;
  const at::Tensor x = at::randn({3, 5}), y = at::randn({3, 5});
  {
    const c10::NoGradGuard no_graph;
    EXPECT_FALSE(recomputed(pieces.piece(), {x, y}, pieces.parameters())[0].requires_grad());
  }
  pieces.weight.set_requires_grad(false);
  EXPECT_FALSE(recomputed(pieces.piece(), {x, y}, pieces.parameters())[0].requires_grad());
  EXPECT_EQ(pieces.calls, 2);
}

TEST(Recomputed, RefusesASecondDerivative) {
  Pieces pieces;
  const at::Tensor x = at::randn({3, 5}).set_requires_grad(true), y = at::randn({3, 5});
  const auto outputs = recomputed(pieces.piece(), {x, y}, pieces.parameters());
  EXPECT_NE(testing::torch_error_of([&] {
              torch::autograd::grad({outputs[0].sum()}, {x}, {}, true, /*create_graph=*/true);
            }).find("second derivative"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::nn
