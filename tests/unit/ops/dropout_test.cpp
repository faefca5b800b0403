#include <distill/ops/dropout.h>

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "ops/cpu/isa.h"
#include "ops/dropout_body.h"
#include "support/op_check.h"

namespace distill::ops {
namespace {

at::Tensor ones(std::int64_t n) {
  return at::ones({n}, at::kDouble);
}

TEST(Dropout, DropsAboutItsShareAndKeepsTheMean) {
  constexpr std::int64_t kCount = 1 << 20;
  for (const double p : {0.05, 0.5, 0.9}) {
    const at::Tensor out = dropout(ones(kCount), {p, 7});
    const double dropped = (out == 0).sum().item<double>() / kCount;
    EXPECT_NEAR(dropped, p, 5 * std::sqrt(p * (1 - p) / kCount)) << p;
    EXPECT_DOUBLE_EQ(out.max().item<double>(), 1 / (1 - p));
  }
}

TEST(Dropout, PlacesLookIndependent) {
  constexpr std::int64_t kCount = 1 << 20;
  const double deviation = 5 / std::sqrt(static_cast<double>(kCount));
  const at::Tensor signs = dropout(ones(kCount), {0.5, 3}) - 1;  // each -1 or 1
  for (const std::int64_t shift : {1, 2, 64, 576, 4096}) {
    const at::Tensor products =
        signs.narrow(0, 0, kCount - shift) * signs.narrow(0, shift, kCount - shift);
    EXPECT_NEAR(products.mean().item<double>(), 0, deviation * 1.01) << shift;
  }
  for (const std::uint64_t other :
       {std::uint64_t{4}, std::uint64_t{3} << 32, std::uint64_t{1} << 63}) {
    const at::Tensor products = signs * (dropout(ones(kCount), {0.5, other}) - 1);
    EXPECT_NEAR(products.mean().item<double>(), 0, deviation) << other;
  }
}

TEST(Dropout, TheSameForEveryDtypeInstructionSetAndThreadCount) {
  const at::Tensor x = testing::normal({37, 1021}, 1);
  const Dropout options{0.3, 0x123456789abcdefULL};
  const at::Tensor kept = dropped(x, options) != 0;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    EXPECT_TRUE(at::equal(dropped(x.to(type), options) != 0, kept)) << type;
  }
  for (const cpu::Isa isa : cpu::supported_isas()) {
    at::Tensor out = at::empty_like(x);
    cpu::kernels_for(isa).f64.dropout({.x = x.const_data_ptr<double>(),
                                       .out = out.mutable_data_ptr<double>(),
                                       .seed = options.seed,
                                       .threshold = 1288490188,  // 0.3 of 2^32
                                       .scale = 1},
                                      {0, x.numel()});
    EXPECT_TRUE(at::equal(out != 0, kept)) << static_cast<int>(isa);
  }
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  EXPECT_TRUE(at::equal(dropped(x, options) != 0, kept));
  at::set_num_threads(threads);
}

TEST(Dropout, AtTheEndsOfItsRange) {
  EXPECT_TRUE((dropout(ones(1 << 16), {1e-30, 3}) == 1).all().item<bool>());
  EXPECT_TRUE((dropout(ones(1 << 16), {1 - 0x1p-53, 3}) == 0).all().item<bool>());
}

TEST(Dropout, GradientPassesWhereTheElementDid) {
  const Dropout options{0.4, 11};
  const at::Tensor x = testing::normal({5, 33}, 2).requires_grad_();
  const at::Tensor slope = testing::normal({5, 33}, 3);
  (dropout(x, options) * slope).sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), dropped(slope, options)));
}

TEST(Dropout, AddsToASum) {
  const at::Tensor x = testing::normal({4, 300}, 4), start = testing::normal({4, 300}, 5);
  at::Tensor sum = start.clone();
  add_dropped(x, {0.5, 6}, sum);
  testing::expect_close(sum, start + dropped(x, {0.5, 6}), 1e-12, "sum");
}

TEST(Dropout, NothingAtZeroAndARefusalOutsideItsRange) {
  const at::Tensor x = testing::normal({3}, 7);
  EXPECT_TRUE(dropout(x, {}).is_same(x));
  for (const double p : {-0.1, 1.0, std::nan("")}) EXPECT_THROW(dropout(x, {p, 1}), c10::Error);
}

}  // namespace
}  // namespace distill::ops
