#include <distill/teachers/announced.h>

#include <memory>

#include <gtest/gtest.h>

#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>

#include <distill/types/segment_key.h>

namespace distill::teachers {
namespace {

types::Batch batch_of(const std::vector<std::vector<std::int64_t>>& sequences) {
  types::Batch batch;
  batch.input = types::pack(sequences);
  batch.loss_mask = at::ones({batch.input.input_ids.numel()}, at::kBool);
  return batch;
}

TEST(SegmentKey, NamesASegmentWhereverItLies) {
  const auto apart = types::segment_keys(batch_of({{1, 2, 3}, {4, 5}}));
  const auto turned = types::segment_keys(batch_of({{4, 5}, {6}, {1, 2, 3}}));
  ASSERT_EQ(apart.size(), 2u);
  ASSERT_EQ(turned.size(), 3u);
  EXPECT_EQ(apart[0], turned[2]);
  EXPECT_EQ(apart[1], turned[0]);
  EXPECT_NE(turned[1], turned[0]);
}

TEST(SegmentKey, DependsOnIdsBordersAndMask) {
  const auto one = types::segment_keys(batch_of({{1, 2, 3}}));
  EXPECT_NE(one[0], types::segment_keys(batch_of({{1, 3, 2}}))[0]);
  EXPECT_NE(one[0], types::segment_keys(batch_of({{1, 2}, {3}}))[0]);
  auto masked = batch_of({{1, 2, 3}});
  masked.loss_mask[1] = false;
  EXPECT_NE(one[0], types::segment_keys(masked)[0]);
}

// Caches on disk are looked up by it.
TEST(SegmentKey, StaysWhatItIs) {
  const auto key = types::segment_keys(batch_of({{1, 2, 3}}))[0];
  EXPECT_EQ(key.words[0], 3049243225911301258u);
  EXPECT_EQ(key.words[1], 13530909571200498154u);
}

TEST(Announced, GivesWhatWasBegunOnce) {
  Announced<std::unique_ptr<int>> announced;
  const auto first = types::segment_keys(batch_of({{1}}));
  const auto second = types::segment_keys(batch_of({{2}}));
  announced.add(first, std::make_unique<int>(1));
  announced.add(second, std::make_unique<int>(2));
  EXPECT_EQ(**announced.take(first), 1);
  EXPECT_FALSE(announced.take(first).has_value());
  EXPECT_EQ(**announced.take(second), 2);
  EXPECT_EQ(announced.size(), 0u);
}

TEST(Announced, DropsWhatWasSkippedAndKeepsTheRestForOthers) {
  Announced<int> announced;
  std::vector<std::vector<types::SegmentKey>> keys;
  for (const std::int64_t id : {1, 2, 3, 4}) keys.push_back(types::segment_keys(batch_of({{id}})));
  for (int i = 0; i < 4; ++i) announced.add(keys[i], i);
  EXPECT_FALSE(announced.take(types::segment_keys(batch_of({{9}}))).has_value());
  EXPECT_EQ(announced.size(), 4u);
  EXPECT_EQ(announced.take(keys[2]), 2);
  EXPECT_EQ(announced.size(), 1u);
  EXPECT_EQ(announced.take(keys[3]), 3);
}

// The same rows come again in the next epoch while the first are still waiting.
TEST(Announced, TakesTheOldestOfEqualBatches) {
  Announced<int> announced;
  const auto key = types::segment_keys(batch_of({{1}}));
  announced.add(key, 1);
  announced.add(key, 2);
  EXPECT_EQ(announced.take(key), 1);
  EXPECT_EQ(announced.take(key), 2);
}

}  // namespace
}  // namespace distill::teachers
