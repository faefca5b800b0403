#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <distill/nn/kv_cache.h>

namespace distill::nn {
namespace {

const KvCacheShape kShape{
    .num_layers = 2, .kv_heads = 3, .head_dim = 4, .options = at::TensorOptions(at::kFloat)};

TEST(KvCache, ReturnsEverythingInOrderWhileItGrows) {
  KvCache cache(kShape);
  at::Tensor all_k, all_v;
  for (const std::int64_t count : {5, 1, 60, 1, 100, 300}) {
    for (std::int64_t layer = 0; layer < 2; ++layer) {
      const at::Tensor k = at::randn({count, 3, 4}), v = at::randn({count, 3, 4});
      const auto [keys, values] = cache.append(layer, k, v);
      ASSERT_EQ(keys.size(1), cache.length() + count);
      if (layer == 0) continue;
      all_k = all_k.defined() ? at::cat({all_k, k}) : k;
      all_v = all_v.defined() ? at::cat({all_v, v}) : v;
      EXPECT_TRUE(at::equal(keys.transpose(0, 1), all_k));
      EXPECT_TRUE(at::equal(values.transpose(0, 1), all_v));
    }
    cache.advance(count);
  }
  EXPECT_EQ(cache.length(), 467);
}

TEST(KvCache, WhatWasNotAdvancedIsOverwritten) {
  KvCache cache(kShape);
  cache.append(0, at::randn({7, 3, 4}), at::randn({7, 3, 4}));
  EXPECT_EQ(cache.length(), 0);
  const at::Tensor k = at::randn({2, 3, 4});
  EXPECT_TRUE(at::equal(cache.append(0, k, k).first.transpose(0, 1), k));
}

TEST(KvCache, AnotherTextGoesOnFromWhereItIsShortened) {
  KvCache cache(kShape);
  const at::Tensor k = at::randn({9, 3, 4});
  for (std::int64_t layer = 0; layer < 2; ++layer) cache.append(layer, k, k);
  cache.advance(9);
  cache.shorten(4);
  EXPECT_EQ(cache.length(), 4);
  const at::Tensor more = at::randn({2, 3, 4});
  EXPECT_TRUE(at::equal(cache.append(1, more, more).first.transpose(0, 1),
                        at::cat({k.narrow(0, 0, 4), more})));
  EXPECT_THROW(cache.shorten(5), c10::Error);
}

TEST(KvCache, KeepsValuesOfAnotherSizeOrNone) {
  KvCacheShape shape = kShape;
  shape.value_dim = 2;
  KvCache narrow(shape);
  const at::Tensor k = at::randn({5, 3, 4}), v = at::randn({5, 3, 2});
  const auto [keys, values] = narrow.append(1, k, v);
  EXPECT_TRUE(at::equal(keys.transpose(0, 1), k));
  EXPECT_TRUE(at::equal(values.transpose(0, 1), v));
  EXPECT_THROW(narrow.append(1, k, k), c10::Error);
  EXPECT_THROW(narrow.append(1, k), c10::Error);
  shape.value_dim = 0;
  KvCache keys_only(shape);
  EXPECT_TRUE(at::equal(keys_only.append(0, k).transpose(0, 1), k));
}

}  // namespace
}  // namespace distill::nn
