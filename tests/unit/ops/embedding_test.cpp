#include <distill/ops/embedding.h>

#include <gtest/gtest.h>

#include <ATen/ops/embedding.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include "support/op_check.h"

namespace distill::ops {
namespace {

using testing::normal;
using testing::Tensors;

const std::vector<std::int64_t> kIds = {3, 0, 3, 3, 4, 0, 1};

Tensors ours(const Tensors& in) {
  return {ops::embedding(in[0], at::tensor(kIds, at::kLong))};
}
Tensors oracle(const Tensors& in) {
  return {at::embedding(in[0], at::tensor(kIds, at::kLong))};
}

TEST(Embedding, LikeFloat64) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    for (const std::int64_t width : {1, 7, 300}) {
      testing::expect_like_oracle(ours, oracle, {normal({6, width}, 1)}, type);
    }
  }
}

TEST(Embedding, AFrequentIdDoesNotDrownInBf16) {
  const at::Tensor weight = normal({2, 3}, 1).to(at::kBFloat16).requires_grad_();
  const at::Tensor ids = at::full({1024}, 1, at::kLong);
  ops::embedding(weight, ids).sum().backward();
  // Added one by one in bf16 it would stop at 256.
  EXPECT_TRUE(at::equal(weight.grad()[1].to(at::kFloat), at::full({3}, 1024.0F)));
  EXPECT_TRUE(at::equal(weight.grad()[0].to(at::kFloat), at::full({3}, 0.0F)));
}

TEST(Embedding, NoIds) {
  const at::Tensor weight = normal({2, 3}, 1).requires_grad_();
  ops::embedding(weight, at::tensor(std::vector<std::int64_t>{}, at::kLong)).sum().backward();
  EXPECT_TRUE(at::equal(weight.grad(), at::full({2, 3}, 0.0, at::kDouble)));
}

TEST(Embedding, RefusesIdsOutOfRange) {
  const at::Tensor weight = normal({2, 3}, 1).requires_grad_();
  for (const std::int64_t id : {-1, 2}) {
    EXPECT_THROW(ops::embedding(weight, at::tensor({id}, at::kLong)), c10::Error) << id;
    EXPECT_THROW(ops::embedding(weight.detach(), at::tensor({id}, at::kLong)), c10::Error) << id;
  }
  EXPECT_THROW(ops::embedding(weight, at::tensor({1}, at::kInt)), c10::Error);
}

}  // namespace
}  // namespace distill::ops
