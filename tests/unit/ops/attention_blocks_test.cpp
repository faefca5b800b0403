#include "ops/attention_blocks.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace distill::ops {
namespace {

using Segments = std::vector<std::int64_t>;

std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

AttentionBlocks cut(const Segments& segments, std::int64_t kv_heads, std::int64_t group,
                    std::int64_t window) {
  return cut_attention({segments, kv_heads, group, window, 0});
}

TEST(AttentionBlocks, EveryVisiblePairIsInOneBlock) {
  const Segments segments{0, 1, 1, 40, 700, 2100};
  for (const std::int64_t window : {0, 1, 100, 300}) {
    const AttentionBlocks blocks = cut(segments, 3, 3, window);
    std::int64_t next = 0;
    for (const QueryBlock& query : blocks.queries) {
      EXPECT_EQ(query.begin, next);
      next += query.count;
      const auto segment = std::upper_bound(segments.begin(), segments.end(), query.begin);
      EXPECT_LE(next, *segment);
      const std::int64_t oldest =
          window == 0 ? segment[-1] : std::max(segment[-1], query.begin - window + 1);
      const KeyBlock& first = blocks.keys[index(query.first_key)];
      const KeyBlock& last = blocks.keys[index(query.end_key - 1)];
      EXPECT_LE(first.begin, oldest);
      EXPECT_GT(first.begin + first.count, oldest) << "a block nobody sees";
      EXPECT_LT(last.begin, next);
      EXPECT_GE(last.begin + last.count, next);
      EXPECT_GE(first.begin, segment[-1]);
    }
    EXPECT_EQ(next, segments.back());
    std::int64_t packed = 0;
    for (const KeyBlock& key : blocks.keys) {
      EXPECT_EQ(key.packed, packed);
      EXPECT_GE(key.width, key.count);
      EXPECT_LT(key.width, key.count + 16);
      packed += key.width;
    }
    EXPECT_EQ(packed, blocks.packed_rows);
  }
}

TEST(AttentionBlocks, PartsHoldEveryQueryOnceAndAboutTheSameWork) {
  const AttentionBlocks blocks = cut(Segments{0, 5, 517, 2565}, 3, 3, 0);
  std::int64_t next = 0;
  for (const AttentionPart& part : blocks.parts) {
    EXPECT_EQ(part.first_query, next);
    EXPECT_GT(part.end_query, part.first_query);
    next = part.end_query;
  }
  EXPECT_EQ(next, std::ssize(blocks.queries));
  ASSERT_EQ(blocks.parts.size(), 1U + 2U + 8U);
  std::vector<std::int64_t> work;
  for (std::size_t i = 3; i < blocks.parts.size(); ++i) {
    work.push_back(0);
    for (std::int64_t q = blocks.parts[i].first_query; q < blocks.parts[i].end_query; ++q) {
      const QueryBlock& query = blocks.queries[index(q)];
      work.back() += query.count * (query.begin + query.count - 517);
    }
  }
  const auto [least, most] = std::minmax_element(work.begin(), work.end());
  EXPECT_LT(static_cast<double>(*most), 1.25 * static_cast<double>(*least));
}

TEST(AttentionBlocks, ASegmentIsCutTheSameWhereverItLies) {
  const AttentionBlocks alone = cut(Segments{0, 900}, 2, 4, 250);
  const AttentionBlocks packed = cut(Segments{0, 70, 970, 1000}, 2, 4, 250);
  std::size_t first = 0;
  while (packed.queries[first].begin < 70) ++first;
  for (std::size_t i = 0; i < alone.queries.size(); ++i) {
    EXPECT_EQ(packed.queries[first + i].begin, alone.queries[i].begin + 70);
    EXPECT_EQ(packed.queries[first + i].count, alone.queries[i].count);
  }
  EXPECT_EQ(packed.parts[1].end_query - packed.parts[1].first_query,
            alone.parts[0].end_query - alone.parts[0].first_query);
}

// Memory for sums of parts is a bounded multiple of the keys'.
TEST(AttentionBlocks, PartsTakeBoundedMemory) {
  for (const std::int64_t kv_heads : {1, 8, 32}) {
    const AttentionBlocks blocks = cut(Segments{0, 100'000}, kv_heads, 4, 0);
    EXPECT_LE(blocks.part_rows, 6 * blocks.packed_rows);
    EXPECT_LE(blocks.part_rows * kv_heads, 32 * blocks.packed_rows);
  }
}

}  // namespace
}  // namespace distill::ops
