#include <distill/data/make_batch.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/random.h>

#include "support/temp_folder.h"
#include "support/tensor_values.h"

namespace distill::data {
namespace {

using Ids = std::vector<std::int64_t>;
using Flags = std::vector<bool>;
using testing::values;

TEST(MakeBatch, ShiftsWithinSegmentsOnly) {
  const Row one{{10, 11, 12, 20, 21}, {true, true, false, true, true}, {0, 3, 5}};
  const Row two{{30, 31}, {false, true}, {0, 2}};
  const auto batch = make_batch({one, two});
  EXPECT_EQ(values<std::int64_t>(batch.input.input_ids), (Ids{10, 11, 12, 20, 21, 30, 31}));
  EXPECT_EQ(values<std::int64_t>(batch.input.position_ids), (Ids{0, 1, 2, 0, 1, 0, 1}));
  EXPECT_EQ(batch.input.segments, (Ids{0, 3, 5, 7}));
  EXPECT_EQ(values<std::int64_t>(batch.labels), (Ids{11, 0, 0, 21, 0, 31, 0}));
  EXPECT_EQ(values<bool>(batch.loss_mask), (Flags{true, false, false, true, false, true, false}));
  EXPECT_EQ(batch.num_targets, 3);
  EXPECT_EQ(batch.num_sequences, 2);
}

TEST(MakeBatch, NoRowsGiveAnEmptyBatch) {
  const auto batch = make_batch({});
  EXPECT_EQ(batch.input.input_ids.numel(), 0);
  EXPECT_EQ(batch.input.segments, Ids{0});
  EXPECT_EQ(batch.num_targets, 0);
}

TEST(MakeBatch, HasTheDtypesOfTheContract) {
  const auto batch = make_batch({Row{{1, 2}, {true, true}, {0, 2}}});
  EXPECT_EQ(batch.input.input_ids.scalar_type(), at::kLong);
  EXPECT_EQ(batch.input.position_ids.scalar_type(), at::kLong);
  EXPECT_EQ(batch.labels.scalar_type(), at::kLong);
  EXPECT_EQ(batch.loss_mask.scalar_type(), at::kBool);
}

TEST(MakeBatch, MasksEqualANaiveComputation) {
  core::RandomState random(5);
  for (int round = 0; round < 50; ++round) {
    std::vector<Row> rows;
    Ids labels;
    Flags mask;
    const auto num_rows = 1 + random.below(4);
    for (std::uint64_t r = 0; r < num_rows; ++r) {
      Row row;
      row.segments.push_back(0);
      const auto num_segments = 1 + random.below(5);
      for (std::uint64_t s = 0; s < num_segments; ++s) {
        Ids ids;
        Flags targets;
        const auto size = 1 + random.below(6);
        for (std::uint64_t i = 0; i < size; ++i) {
          ids.push_back(static_cast<std::int64_t>(random.below(1000)) + 1);
          targets.push_back(random.below(2) == 1);
        }
        // The segment alone: drop the first id and flag, and nothing follows the last.
        Ids next(ids.begin() + 1, ids.end());
        Flags next_flags(targets.begin() + 1, targets.end());
        next.push_back(0);
        next_flags.push_back(false);
        for (std::size_t i = 0; i < next.size(); ++i) {
          labels.push_back(next_flags[i] ? next[i] : 0);
          mask.push_back(next_flags[i]);
        }
        row.ids.insert(row.ids.end(), ids.begin(), ids.end());
        row.is_target.insert(row.is_target.end(), targets.begin(), targets.end());
        row.segments.push_back(static_cast<std::int64_t>(row.ids.size()));
      }
      rows.push_back(row);
    }
    const auto batch = make_batch(rows);
    EXPECT_EQ(values<std::int64_t>(batch.labels), labels);
    EXPECT_EQ(values<bool>(batch.loss_mask), mask);
    EXPECT_EQ(batch.num_targets, std::count(mask.begin(), mask.end(), true));
  }
}

TEST(MakeBatch, RefusesRowsThatDoNotFit) {
  const std::vector<Row> bad = {
      {{1, 2, 3}, {true, true, true}, {0, 2}},        // ends early
      {{1, 2, 3}, {true, true, true}, {0, 4}},        // ends late
      {{1, 2, 3}, {true, true, true}, {1, 3}},        // begins late
      {{1, 2, 3}, {true, true, true}, {0, 2, 1, 3}},  // falls
      {{1, 2, 3}, {true, true, true}, {0, 2, 2, 3}},  // an empty segment
      {{1, 2, 3}, {true, true, true}, {}},            // no borders
      {{1, 2, 3}, {true, true}, {0, 3}},              // a flag is missing
  };
  for (const Row& row : bad) EXPECT_THROW(make_batch({row}), InputError);
  EXPECT_EQ(
      testing::message_of<InputError>([&] { make_batch({bad.back()}); }),
      "a row's segments must rise from 0 to its 3 ids and its targets be as many, they are 2");
}

TEST(MakeBatch, LabelsFollowTheirSegments) {
  const Row two{{1, 2, 3}, {true, true, true}, {0, 2, 3}, {"maths", ""}};
  const Row one{{4, 5}, {true, true}, {0, 2}, {"code"}};
  EXPECT_EQ(make_batch({two, one}).segment_labels, (std::vector<std::string>{"maths", "", "code"}));
  const Row bad{{1, 2, 3}, {true, true, true}, {0, 2, 3}, {"maths"}};
  EXPECT_EQ(testing::message_of<InputError>([&] { make_batch({bad}); }),
            "a row of 2 segments has 1 labels, expected none or one a segment");
}

}  // namespace
}  // namespace distill::data
