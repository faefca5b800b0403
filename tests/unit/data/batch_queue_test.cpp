#include "data/batch_queue.h"

#include <atomic>
#include <chrono>
#include <stdexcept>

#include <gtest/gtest.h>

#include "support/temp_folder.h"

namespace distill::data {
namespace {

/// A batch that carries its position.
types::Batch numbered(std::int64_t position) {
  types::Batch batch;
  batch.num_sequences = position;
  return batch;
}

class BatchQueueTest : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(BatchQueueTest, GivesPositionsInOrder) {
  BatchQueue queue(numbered, 3, GetParam());
  for (std::int64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(queue.position(), 3 * i);
    EXPECT_EQ(queue.next().num_sequences, 3 * i);
  }
}

TEST_P(BatchQueueTest, SeeksForwardsAndBackwards) {
  BatchQueue queue(numbered, 2, GetParam());
  queue.next();
  for (const std::int64_t target : {100, 4, 4, 0, 31}) {
    queue.seek(target);
    EXPECT_EQ(queue.position(), target);
    EXPECT_EQ(queue.next().num_sequences, target);
    EXPECT_EQ(queue.next().num_sequences, target + 2);
  }
}

TEST_P(BatchQueueTest, ThrowsInNextAndCanGoOn) {
  std::atomic<bool> broken = true;
  BatchQueue queue(
      [&](std::int64_t position) {
        if (position == 2 && broken) throw std::runtime_error("no batch 2");
        return numbered(position);
      },
      1, GetParam());
  EXPECT_EQ(queue.next().num_sequences, 0);
  EXPECT_EQ(queue.next().num_sequences, 1);
  EXPECT_EQ(testing::message_of<std::runtime_error>([&] { queue.next(); }), "no batch 2");
  EXPECT_EQ(queue.position(), 2) << "a failure consumes nothing";
  queue.seek(5);
  EXPECT_EQ(queue.next().num_sequences, 5);
  broken = false;
  queue.seek(2);
  EXPECT_EQ(queue.next().num_sequences, 2);
}

TEST_P(BatchQueueTest, TriesAgainAfterAFailure) {
  std::atomic<int> failures = 0;
  BatchQueue queue(
      [&](std::int64_t position) {
        if (position == 1 && failures++ == 0) throw std::runtime_error("once");
        return numbered(position);
      },
      1, GetParam());
  queue.next();
  EXPECT_THROW(queue.next(), std::runtime_error);
  EXPECT_EQ(queue.next().num_sequences, 1);
  EXPECT_EQ(queue.next().num_sequences, 2);
}

TEST_P(BatchQueueTest, MakesNothingMoreOnceItEnds) {
  std::atomic<int> made = 0;
  std::atomic<int> running = 0;
  for (int taken = 0; taken < 4; ++taken) {
    for (int round = 0; round < 20; ++round) {
      {
        BatchQueue queue(
            [&](std::int64_t position) {
              ++running;
              ++made;
              std::this_thread::yield();
              --running;
              return numbered(position);
            },
            1, GetParam());
        for (int i = 0; i < taken; ++i) queue.next();
        if (round % 2 == 1) queue.seek(1000);
      }
      EXPECT_EQ(running, 0);
      const int before = made;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      EXPECT_EQ(made, before);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Depths, BatchQueueTest, ::testing::Values(0, 1, 2, 7));

TEST(BatchQueue, MakesNoMoreThanItsDepthAhead) {
  std::atomic<int> made = 0;
  BatchQueue queue(
      [&](std::int64_t position) {
        ++made;
        return numbered(position);
      },
      1, 3);
  queue.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LE(made, 4);
}

TEST(BatchQueue, MakesNothingBeforeItIsKnownWhereItBegins) {
  std::atomic<int> made = 0;
  BatchQueue queue(
      [&](std::int64_t position) {
        ++made;
        return numbered(position);
      },
      1, 3);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(made, 0);
  queue.seek(7);
  EXPECT_EQ(queue.next().num_sequences, 7);
}

TEST(BatchQueue, EndsWhileAFailureWaits) {
  std::atomic<int> tried = 0;
  {
    BatchQueue queue(
        [&](std::int64_t position) -> types::Batch {
          if (position == 0) return numbered(position);
          ++tried;
          throw std::runtime_error("never taken");
        },
        1, 2);
    queue.next();
    while (tried == 0) std::this_thread::yield();
  }
  EXPECT_EQ(tried, 1) << "a failure waits to be taken and is not tried again by itself";
}

}  // namespace
}  // namespace distill::data
