#include <distill/core/random.h>

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace distill::core {
namespace {

TEST(RandomState, ContinuesFromRawState) {
  RandomState a(7, 3);
  for (int i = 0; i < 5; ++i) a.next();
  RandomState b(0);
  b.set_raw(a.raw());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next(), b.next());
}

TEST(RandomState, StreamsAndSeedsDiffer) {
  EXPECT_NE(RandomState(1, 0).next(), RandomState(1, 1).next());
  EXPECT_NE(RandomState(1, 0).next(), RandomState(2, 0).next());
}

TEST(RandomState, BelowIsEven) {
  RandomState random(5);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts[random.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 400);
}

TEST(RandomState, UniformIsInRange) {
  RandomState random(5);
  double sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const double x = random.uniform();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
    sum += x;
  }
  EXPECT_NEAR(sum / 100000, 0.5, 0.005);
}

TEST(Permutation, HoldsEveryIndexOnceAndRepeats) {
  const auto order = permutation(1000, 3, 4);
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (std::int64_t i = 0; i < 1000; ++i) EXPECT_EQ(sorted[static_cast<std::size_t>(i)], i);
  EXPECT_NE(order, sorted);
  EXPECT_EQ(order, permutation(1000, 3, 4));
  EXPECT_NE(order, permutation(1000, 3, 5));
  EXPECT_TRUE(permutation(0, 1, 1).empty());
}

}  // namespace
}  // namespace distill::core
