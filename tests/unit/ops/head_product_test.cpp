#include <distill/ops/head_product.h>

#include <gtest/gtest.h>

#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <distill/ops/device.h>

#include "support/on_cuda.h"
#include "support/op_check.h"
#include "support/tolerance.h"
#include "support/torch_error.h"

namespace distill::ops {
namespace {

TEST(HeadProduct, LikeFloat64WithoutRoundingTheResult) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    for (const auto& [rows, width, ids] :
         {std::tuple{1, 2, 1}, {1, 64, 300}, {70, 32, 257}, {3, 7, 2100}, {64, 576, 129}}) {
      const at::Tensor hidden = testing::normal({rows, width}, 1).to(type);
      const at::Tensor head = testing::normal({ids, width}, 2).to(type);
      const at::Tensor out = head_product(hidden, head);
      EXPECT_EQ(out.scalar_type(), type == at::kDouble ? at::kDouble : at::kFloat);
      const at::Tensor exact = at::mm(hidden.to(at::kDouble), head.to(at::kDouble).t());
      EXPECT_LE(testing::relative_error(out, exact), type == at::kDouble ? 1e-14 : 1e-6);
    }
  }
}

TEST(HeadProduct, OnAGpuLikeFloat64) {
  if (const auto reason = why_no_cuda()) GTEST_SKIP() << *reason;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const auto& [rows, width, ids] : {std::tuple{1, 64, 300}, {70, 32, 257}, {3, 7, 2100}}) {
      const at::Tensor hidden = testing::normal({rows, width}, 1).to(type);
      const at::Tensor head = testing::normal({ids, width}, 2).to(type);
      const at::Tensor out = head_product(hidden.to(at::kCUDA), head.to(at::kCUDA)).cpu();
      EXPECT_EQ(out.scalar_type(), at::kFloat);
      const at::Tensor exact = at::mm(hidden.to(at::kDouble), head.to(at::kDouble).t());
      EXPECT_LE(testing::relative_error(out, exact), testing::cuda_tolerance(type));
    }
  }
}

TEST(HeadProduct, TakesAnyLayout) {
  const at::Tensor hidden = testing::normal({32, 5}, 1).to(at::kBFloat16).t();
  const at::Tensor head = testing::normal({32, 70}, 2).to(at::kBFloat16).t();
  EXPECT_LE(testing::relative_error(head_product(hidden, head),
                                    at::mm(hidden.to(at::kDouble), head.to(at::kDouble).t())),
            1e-6);
}

TEST(HeadProduct, NoRows) {
  EXPECT_EQ(head_product(at::zeros({0, 4}), at::zeros({9, 4})).sizes(), at::IntArrayRef({0, 9}));
  EXPECT_EQ(
      head_product(at::zeros({0, 4}, at::kBFloat16), at::zeros({9, 4}, at::kBFloat16)).sizes(),
      at::IntArrayRef({0, 9}));
}

TEST(HeadProduct, RefusesWhatDoesNotFit) {
  EXPECT_EQ(testing::torch_error_of([] {
              head_product(at::zeros({2, 3}), at::zeros({9, 4}));
            }),
            "head_product: `hidden` is [2, 3] and `head` [9, 4], expected [N, H] and [V, H]");
}

}  // namespace
}  // namespace distill::ops
