#include <distill/dist/communicator.h>

#include <array>

#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "support/recording_communicator.h"

namespace distill::dist {
namespace {

TEST(Single, IsTheMainRankOfOne) {
  const auto ranks = make_single();
  EXPECT_EQ(ranks->rank(), 0);
  EXPECT_EQ(ranks->size(), 1);
  EXPECT_TRUE(ranks->is_main());
}

TEST(Single, CollectivesAreTheIdentity) {
  const auto ranks = make_single();
  std::array<std::int64_t, 2> counts = {3, -4};
  ranks->all_reduce_sum(counts);
  EXPECT_EQ(counts, (std::array<std::int64_t, 2>{3, -4}));
  std::array<double, 1> sums = {0.1};
  ranks->all_reduce_sum(sums);
  EXPECT_EQ(sums[0], 0.1);
  at::Tensor tensor = at::full({2}, 7.0);
  ranks->all_reduce_sum(tensor);
  EXPECT_TRUE(tensor.equal(at::full({2}, 7.0)));
  EXPECT_TRUE(ranks->any(true));
  EXPECT_FALSE(ranks->any(false));
  ranks->barrier();
}

TEST(RecordingCommunicator, MultipliesAndRecords) {
  testing::RecordingCommunicator ranks;
  ranks.own_rank = 1;
  ranks.num_ranks = 2;
  ranks.multiplier = 2;
  EXPECT_FALSE(ranks.is_main());
  std::array<std::int64_t, 2> counts = {3, 4};
  ranks.all_reduce_sum(counts);
  EXPECT_EQ(counts[1], 8);
  at::Tensor tensor = at::full({5}, 1.5);
  ranks.all_reduce_sum(tensor);
  EXPECT_TRUE(tensor.equal(at::full({5}, 3.0)));
  EXPECT_FALSE(ranks.any(false));
  ranks.others_say = true;
  EXPECT_TRUE(ranks.any(false));
  EXPECT_EQ(ranks.calls, (std::vector<std::string>{"sum_int 2", "sum_tensor 5", "any", "any"}));
}

}  // namespace
}  // namespace distill::dist
