#include <limits>
#include <string>

#include <gtest/gtest.h>

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <c10/core/InferenceMode.h>

#include <distill/ops/device.h>

#include "support/on_cuda.h"
#include "support/torch_error.h"

#include "attention_oracle.h"

namespace distill::ops {
namespace {

using namespace attention_test;

struct Case {
  std::int64_t total, heads, kv_heads, size, value_size, window;
};
constexpr Case kCases[] = {{1, 2, 1, 8, 8, 0},      {70, 9, 3, 64, 64, 0},  {300, 6, 2, 32, 16, 0},
                           {150, 4, 4, 16, 16, 20}, {260, 4, 1, 48, 32, 1}, {129, 16, 1, 72, 64, 0},
                           {40, 4, 2, 7, 5, 6}};

double tolerance(at::ScalarType type) {
  return type == at::kBFloat16 ? 0.012 : testing::tolerance(type);
}

/// As a cache holds them: [kv_heads, capacity, size], the first `total` in use.
at::Tensor in_cache(const at::Tensor& x) {
  at::Tensor cache = at::empty({x.size(1), x.size(0) + 13, x.size(2)}, x.options());
  cache.fill_(std::numeric_limits<double>::quiet_NaN());
  cache.narrow(1, 0, x.size(0)).copy_(x.transpose(0, 1));
  return cache.narrow(1, 0, x.size(0));
}

TEST(CachedAttention, IsTheEndOfTheWhole) {
  for (const Case& c : kCases) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) {
      Tensors in = inputs(c.total, c.heads, c.kv_heads, c.size, c.value_size);
      for (at::Tensor& x : in) x = x.to(type);
      const at::Tensor whole = oracle({0, c.total}, c.window)(
          {in[0].to(at::kDouble), in[1].to(at::kDouble), in[2].to(at::kDouble)})[0];
      for (const std::int64_t n : {std::int64_t{1}, std::int64_t{2}, c.total / 2, c.total}) {
        if (n < 1 || n > c.total) continue;
        const at::Tensor got = cached_attention(in[0].narrow(0, c.total - n, n), in_cache(in[1]),
                                                in_cache(in[2]), {kScale, c.window});
        EXPECT_EQ(got.scalar_type(), type);
        testing::expect_close(got.to(at::kDouble), whole.narrow(0, c.total - n, n), tolerance(type),
                              "n " + std::to_string(n));
      }
    }
  }
}

TEST(CachedAttention, OnAGpuIsTheEndOfTheWhole) {
  if (const auto reason = why_no_cuda()) GTEST_SKIP() << *reason;
  for (const Case& c : kCases) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      Tensors in = inputs(c.total, c.heads, c.kv_heads, c.size, c.value_size);
      for (at::Tensor& x : in) x = x.to(type);
      const at::Tensor whole = oracle({0, c.total}, c.window)(
          {in[0].to(at::kDouble), in[1].to(at::kDouble), in[2].to(at::kDouble)})[0];
      for (at::Tensor& x : in) x = x.to(at::kCUDA);
      for (const std::int64_t n : {std::int64_t{1}, c.total / 2}) {
        if (n < 1) continue;
        const at::Tensor got = cached_attention(in[0].narrow(0, c.total - n, n), in_cache(in[1]),
                                                in_cache(in[2]), {kScale, c.window});
        EXPECT_LE(testing::relative_error(got.cpu(), whole.narrow(0, c.total - n, n)),
                  testing::cuda_tolerance(type))
            << "total " << c.total << ", n " << n;
      }
    }
  }
}

TEST(CachedAttention, SeveralSequencesAreEachOnTheirOwn) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const std::vector<std::int64_t> totals = {40, 1, 129, 7}, news = {1, 1, 5, 0};
    std::vector<std::int64_t> segments = {0};
    std::vector<CachedKeys> caches;
    Tensors queries, alone;
    for (std::size_t s = 0; s < totals.size(); ++s) {
      Tensors in = inputs(totals[s], 6, 2, 16, 24);
      for (at::Tensor& x : in) x = x.to(type);
      queries.push_back(in[0].narrow(0, totals[s] - news[s], news[s]));
      caches.push_back({in_cache(in[1]), in_cache(in[2])});
      segments.push_back(segments.back() + news[s]);
      alone.push_back(cached_attention(queries[s], caches[s].k, caches[s].v, {kScale, 30}));
    }
    const at::Tensor together = cached_attention(at::cat(queries), segments, caches, {kScale, 30});
    EXPECT_TRUE(at::equal(together, at::cat(alone)));
  }
}

TEST(CachedAttention, SeveralSequencesInInferenceModeOnSeveralThreads) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  {
    const c10::InferenceMode inference;
    const Tensors in = inputs(64, 6, 2, 16);
    const CachedKeys held{in_cache(in[1]), in_cache(in[2])};
    const std::vector<std::int64_t> segments = {0, 1, 2, 3, 4};
    const at::Tensor q = in[0].narrow(0, 60, 4);
    const at::Tensor got = cached_attention(q, segments, std::vector(4, held), {kScale});
    for (std::int64_t s = 0; s < 4; ++s) {
      EXPECT_TRUE(at::equal(got.narrow(0, s, 1),
                            cached_attention(q.narrow(0, s, 1), held.k, held.v, {kScale})));
    }
  }
  at::set_num_threads(threads);
}

TEST(CachedAttention, SeveralSequencesMustFit) {
  const Tensors in = inputs(5, 4, 2, 8);
  const CachedKeys held{in_cache(in[1]), in_cache(in[2])};
  const auto error = [&](std::vector<std::int64_t> segments, std::vector<CachedKeys> caches) {
    return testing::torch_error_of([&] { cached_attention(in[0], segments, caches, {kScale}); });
  };
  EXPECT_NE(error({0, 5}, {held, held}).find("one more than the 2 entries"), std::string::npos);
  EXPECT_NE(error({0}, {}).find("at least one"), std::string::npos);
  EXPECT_NE(error({0, 4}, {held}).find("expected 0 to 5"), std::string::npos);
  const CachedKeys other{held.k, held.v.narrow(2, 0, 4)};
  EXPECT_NE(error({0, 2, 5}, {held, other}).find("sequence 1"), std::string::npos);
}

TEST(CachedAttention, NoQueries) {
  const Tensors in = inputs(5, 4, 2, 8);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor got =
        cached_attention(in[0].narrow(0, 0, 0).to(type), in_cache(in[1]).to(type),
                         in_cache(in[2]).to(type), {kScale});
    EXPECT_EQ(got.sizes(), at::IntArrayRef({0, 4, 8}));
  }
}

TEST(CachedAttention, RecordsNoGraph) {
  Tensors in = inputs(5, 4, 2, 8);
  in[0].requires_grad_();
  EXPECT_FALSE(cached_attention(in[0], in_cache(in[1]), in_cache(in[2]), {kScale}).requires_grad());
}

TEST(CachedAttention, RefusesWhatDoesNotFit) {
  const Tensors in = inputs(5, 4, 2, 8);
  const auto message = [&](std::int64_t keys, const AttentionOptions& options) -> std::string {
    try {
      cached_attention(in[0], in_cache(in[1]).narrow(1, 0, keys), in_cache(in[2]), options);
    } catch (const c10::Error& e) {
      return e.what_without_backtrace();
    }
    return "";
  };
  EXPECT_EQ(message(4, {kScale}),
            "cached_attention: `k` is [2, 4, 8], expected [a divisor of 4, at least 5, 8] for `q` "
            "[5, 4, 8]");
  EXPECT_EQ(message(5, {kScale, -2}),
            "cached_attention: `window` is -2, expected a number of keys, or 0 for all");
}

}  // namespace
}  // namespace distill::ops
