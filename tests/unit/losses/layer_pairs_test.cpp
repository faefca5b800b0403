#include <distill/losses/layer_pairs.h>

#include <gtest/gtest.h>

namespace distill::losses {
namespace {

using Pairs = std::vector<LayerPair>;

TEST(LayerPairs, AreEvenlySpacedFromLastToLast) {
  EXPECT_EQ(evenly_spaced_pairs(2, 4), (Pairs{{0, 1}, {1, 3}}));
  EXPECT_EQ(evenly_spaced_pairs(4, 12), (Pairs{{0, 2}, {1, 5}, {2, 8}, {3, 11}}));
  EXPECT_EQ(evenly_spaced_pairs(3, 3), (Pairs{{0, 0}, {1, 1}, {2, 2}}));
  EXPECT_EQ(evenly_spaced_pairs(1, 30), (Pairs{{0, 29}}));
  EXPECT_EQ(evenly_spaced_pairs(4, 2), (Pairs{{1, 0}, {3, 1}}));
  EXPECT_EQ(evenly_spaced_pairs(3, 4), (Pairs{{0, 0}, {1, 2}, {2, 3}}));  // 4/3, 8/3, 4
}

TEST(LayerPairs, AlwaysJoinDifferentLayersInOrder) {
  for (std::int64_t student = 1; student < 20; ++student) {
    for (std::int64_t teacher = 1; teacher < 20; ++teacher) {
      const Pairs pairs = evenly_spaced_pairs(student, teacher);
      ASSERT_EQ(std::ssize(pairs), std::min(student, teacher));
      EXPECT_EQ(pairs.back(), (LayerPair{student - 1, teacher - 1}));
      EXPECT_GE(pairs.front().student, 0);
      EXPECT_GE(pairs.front().teacher, 0);
      for (std::size_t i = 1; i < pairs.size(); ++i) {
        EXPECT_GT(pairs[i].student, pairs[i - 1].student);
        EXPECT_GT(pairs[i].teacher, pairs[i - 1].teacher);
      }
    }
  }
}

}  // namespace
}  // namespace distill::losses
