#include <distill/data/batch_stream.h>

#include <map>
#include <mutex>
#include <set>

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "support/byte_tokenizer.h"
#include "support/jsonl_file.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"
#include "support/tensor_values.h"

namespace distill::data {
namespace {

using Ids = std::vector<std::int64_t>;

/// `count` rows; row i holds the one character 'A' + i and the end of document.
std::shared_ptr<const Dataset> lettered_rows(int count) {
  const testing::TempFolder folder;
  std::vector<std::string> lines;
  for (int i = 0; i < count; ++i) {
    lines.push_back(std::string(R"({"text": ")") + static_cast<char>('A' + i) + "\"}");
  }
  DataOptions options;
  options.packing = false;
  testing::RecordingLogger log;
  return Dataset::load({{testing::write_lines(folder / "d.jsonl", lines), 1.0}}, options,
                       testing::ByteTokenizer(), nullptr, log);
}

/// Which rows a batch holds, as letters.
std::string letters(const types::Batch& batch) {
  std::string text;
  for (const std::int64_t id : testing::values<std::int64_t>(batch.input.input_ids)) {
    if (id < 256) text += static_cast<char>(id);
  }
  return text;
}

std::string take(BatchStream& stream, int batches) {
  std::string text;
  for (int i = 0; i < batches; ++i) text += letters(stream.next());
  return text;
}

TEST(BatchStream, EveryEpochIsAnotherPermutation) {
  BatchStream stream(lettered_rows(10), {.seed = 3, .rows_per_batch = 5});
  std::set<std::string> orders;
  for (int epoch = 0; epoch < 6; ++epoch) {
    const std::string order = take(stream, 2);
    orders.insert(order);
    EXPECT_EQ(std::set<char>(order.begin(), order.end()).size(), 10u) << order;
  }
  EXPECT_EQ(orders.size(), 6u);
}

TEST(BatchStream, OrderDependsOnTheSeedAlone) {
  const auto data = lettered_rows(12);
  BatchStream one(data, {.seed = 1, .rows_per_batch = 12});
  BatchStream same(data, {.seed = 1, .rows_per_batch = 3});
  BatchStream other(data, {.seed = 2, .rows_per_batch = 12});
  const std::string order = take(one, 2);
  EXPECT_EQ(take(same, 8), order) << "the batch size does not change the order of rows";
  EXPECT_NE(take(other, 2), order);
}

TEST(BatchStream, BatchesCrossEpochs) {
  BatchStream stream(lettered_rows(5), {.seed = 7, .rows_per_batch = 3});
  const std::string order = take(stream, 5);
  for (int epoch = 0; epoch < 3; ++epoch) {
    const std::string part = order.substr(static_cast<std::size_t>(5 * epoch), 5);
    EXPECT_EQ(std::set<char>(part.begin(), part.end()).size(), 5u) << part;
  }
  EXPECT_EQ(stream.position(), 15);
}

TEST(BatchStream, ABatchMayBeLargerThanTheData) {
  BatchStream stream(lettered_rows(2), {.seed = 7, .rows_per_batch = 7});
  const auto batch = stream.next();
  EXPECT_EQ(batch.num_sequences, 7);
  EXPECT_EQ(batch.num_targets, 7);
  std::map<char, int> count;
  for (const char c : letters(batch)) ++count[c];
  EXPECT_EQ(count['A'] + count['B'], 7);
  EXPECT_LE(std::abs(count['A'] - count['B']), 1);
}

TEST(BatchStream, PrefetchChangesNothing) {
  const auto data = lettered_rows(7);
  BatchStream plain(data, {.seed = 9, .rows_per_batch = 2, .prefetch = 0});
  for (const std::int64_t prefetch : {1, 2, 16}) {
    plain.seek(0);
    BatchStream ahead(data, {.seed = 9, .rows_per_batch = 2, .prefetch = prefetch});
    for (int i = 0; i < 30; ++i) {
      const auto a = plain.next();
      const auto b = ahead.next();
      EXPECT_TRUE(a.input.input_ids.equal(b.input.input_ids));
      EXPECT_TRUE(a.labels.equal(b.labels));
      EXPECT_TRUE(a.loss_mask.equal(b.loss_mask));
      EXPECT_EQ(a.input.segments, b.input.segments);
      EXPECT_EQ(plain.position(), ahead.position());
    }
  }
}

TEST(BatchStream, GoesOnTheSameFromEveryPosition) {
  const auto data = lettered_rows(5);
  for (const std::int64_t prefetch : {0, 2}) {
    const BatchStream::Options options{.seed = 4, .rows_per_batch = 2, .prefetch = prefetch};
    BatchStream whole(data, options);
    const std::string order = take(whole, 20);
    for (std::int64_t position = 0; position <= 30; ++position) {
      BatchStream fresh(data, options);
      if (position % 2 == 1) take(fresh, 2);
      fresh.seek(position);
      EXPECT_EQ(fresh.position(), position);
      EXPECT_EQ(take(fresh, 5), order.substr(static_cast<std::size_t>(position), 10));
      EXPECT_EQ(fresh.position(), position + 10);
    }
  }
}

TEST(BatchStream, RanksTogetherSeeWhatOneRankSees) {
  const auto data = lettered_rows(11);
  BatchStream alone(data, {.seed = 21, .rows_per_batch = 8});
  const std::string order = take(alone, 6);
  for (const std::int64_t num_ranks : {2, 4}) {
    std::vector<std::string> seen;
    for (std::int64_t rank = 0; rank < num_ranks; ++rank) {
      BatchStream stream(data,
                         {.seed = 21, .rows_per_batch = 2, .rank = rank, .num_ranks = num_ranks});
      const int batches = static_cast<int>(48 / (2 * num_ranks));
      seen.push_back(take(stream, batches));
      EXPECT_EQ(stream.position(), 48);
    }
    std::string woven;
    for (std::size_t i = 0; i < seen[0].size(); ++i) {
      for (const auto& part : seen) woven += part[i];
    }
    EXPECT_EQ(woven, order) << num_ranks << " ranks";
  }
}

TEST(BatchStream, TheNumberOfRanksMayChangeInBetween) {
  const auto data = lettered_rows(9);
  BatchStream alone(data, {.seed = 2, .rows_per_batch = 1});
  const std::string order = take(alone, 30);
  BatchStream one(data, {.seed = 2, .rows_per_batch = 3});
  std::string seen = take(one, 1);
  const std::int64_t position = one.position();
  BatchStream left(data, {.seed = 2, .rows_per_batch = 1, .rank = 0, .num_ranks = 2});
  BatchStream right(data, {.seed = 2, .rows_per_batch = 1, .rank = 1, .num_ranks = 2});
  left.seek(position);
  right.seek(position);
  for (int i = 0; i < 5; ++i) seen += take(left, 1) + take(right, 1);
  one.seek(left.position());
  seen += take(one, 2);
  EXPECT_EQ(seen, order.substr(0, seen.size()));
  EXPECT_EQ(seen.size(), 19u);
}

TEST(BatchStream, TellsOfEveryBatchBeforeItIsTaken) {
  for (const std::int64_t prefetch : {0, 3}) {
    std::mutex mutex;
    std::vector<std::string> told;
    BatchStream stream(lettered_rows(7), {.seed = 3,
                                          .rows_per_batch = 2,
                                          .prefetch = prefetch,
                                          .prepared = [&](const types::Batch& batch) {
                                            const std::lock_guard lock(mutex);
                                            told.push_back(letters(batch));
                                          }});
    for (std::size_t i = 0; i < 9; ++i) {
      const std::string taken = letters(stream.next());
      const std::lock_guard lock(mutex);
      ASSERT_GT(told.size(), i);
      EXPECT_EQ(told[i], taken);
    }
  }
}

TEST(BatchStream, ThrowsWhatTheListenerThrew) {
  BatchStream stream(lettered_rows(3), {.prepared = [](const types::Batch&) {
                       fail<TeacherError>("the teacher is gone");
                     }});
  EXPECT_THROW(stream.next(), TeacherError);
  EXPECT_EQ(stream.position(), 0);
}

TEST(BatchStream, RefusesWhatMakesNoSense) {
  const auto data = lettered_rows(2);
  using Options = BatchStream::Options;
  for (const Options& options :
       {Options{.rows_per_batch = 0}, Options{.rows_per_batch = -1}, Options{.num_ranks = 0},
        Options{.rank = 2, .num_ranks = 2}, Options{.rank = -1}, Options{.prefetch = -1},
        Options{.rows_per_batch = std::int64_t{1} << 40}, Options{.prefetch = 5000}}) {
    EXPECT_THROW(BatchStream(data, options), InputError);
  }
  EXPECT_THROW(BatchStream(nullptr, {}), InputError);
  EXPECT_THROW(BatchStream(data->first_rows(0), {}), InputError);
  BatchStream stream(data, {});
  EXPECT_EQ(testing::message_of<InputError>([&] { stream.seek(-1); }),
            "the position in the data must be from 0 to 2^62, it is -1");
  EXPECT_THROW(stream.seek(std::numeric_limits<std::int64_t>::max()), InputError);
}

}  // namespace
}  // namespace distill::data
