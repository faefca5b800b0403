// Several ranks together see what one rank sees, also after a resume with another number of them.
#include <array>
#include <mutex>

#include <gtest/gtest.h>

#include <distill/data/batch_source.h>

#include "support/byte_tokenizer.h"
#include "support/fake_ranks.h"
#include "support/jsonl_file.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"
#include "support/tensor_values.h"

namespace distill::data {
namespace {

constexpr std::int64_t kRows = 23;

/// Row i is the id i and an end; the tokens lie in a cache on disk.
std::shared_ptr<const Dataset> numbered_rows(const testing::TempFolder& folder) {
  std::vector<std::string> lines;
  for (std::int64_t i = 0; i < kRows; ++i) {
    lines.push_back(std::string(R"({"text": ")") + static_cast<char>('A' + i) + "\"}");
  }
  DataOptions options;
  options.packing = false;
  options.cache = (folder / "cache").string();
  testing::RecordingLogger log;
  return Dataset::load({{testing::write_lines(folder / "d.jsonl", lines), 1.0}}, options,
                       testing::ByteTokenizer(), nullptr, log);
}

std::vector<std::int64_t> rows_in(const types::Batch& batch) {
  std::vector<std::int64_t> rows;
  const auto ids = testing::values<std::int64_t>(batch.input.input_ids);
  for (std::size_t s = 0; s + 1 < batch.input.segments.size(); ++s) {
    rows.push_back(ids[static_cast<std::size_t>(batch.input.segments[s])] - 'A');
  }
  return rows;
}

/// Some steps of `batch_size` rows on `num_ranks` ranks from `position`: what each step saw, all
/// ranks together in the order of the data, and where that ended.
struct Steps {
  std::vector<std::int64_t> rows;
  std::int64_t position = 0;
};

Steps train(const std::shared_ptr<const Dataset>& data, std::int64_t num_ranks,
            std::int64_t batch_size, std::int64_t steps, std::int64_t position) {
  Steps result;
  result.rows.resize(static_cast<std::size_t>(steps * batch_size), -1);
  std::mutex mutex;
  testing::FakeRanks(num_ranks).run([&](dist::Communicator& ranks) {
    const std::int64_t own = batch_size / ranks.size();
    BatchStream stream(
        data, {.seed = 5, .rows_per_batch = own, .rank = ranks.rank(), .num_ranks = ranks.size()});
    stream.seek(position);
    for (std::int64_t step = 0; step < steps; ++step) {
      const auto rows = rows_in(stream.next());
      const std::lock_guard lock(mutex);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto place =
            step * batch_size + static_cast<std::int64_t>(i) * ranks.size() + ranks.rank();
        result.rows[static_cast<std::size_t>(place)] = rows[i];
      }
    }
    // What rank 0 writes to the checkpoint holds for all.
    std::array<std::int64_t, 1> sum = {stream.position()};
    ranks.all_reduce_sum(sum);
    EXPECT_EQ(sum[0], stream.position() * ranks.size());
    if (ranks.is_main()) result.position = stream.position();
  });
  return result;
}

TEST(Ranks, TheUnionIsTheOrderOfOneRank) {
  const testing::TempFolder folder;
  const auto data = numbered_rows(folder);
  const Steps alone = train(data, 1, 6, 12, 0);
  for (const std::int64_t ranks : {2, 3, 6}) {
    const Steps together = train(data, ranks, 6, 12, 0);
    EXPECT_EQ(together.rows, alone.rows) << ranks;
    EXPECT_EQ(together.position, alone.position);
  }
  // Every row once in an epoch.
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<std::int64_t> seen(alone.rows.begin() + epoch * kRows,
                                   alone.rows.begin() + (epoch + 1) * kRows);
    std::ranges::sort(seen);
    for (std::int64_t i = 0; i < kRows; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
  }
}

TEST(Ranks, AResumeSeesExactlyTheRemainingRows) {
  const testing::TempFolder folder;
  const auto data = numbered_rows(folder);
  const Steps whole = train(data, 1, 6, 12, 0);
  for (const std::int64_t before : {1, 2, 3}) {
    for (const std::int64_t after : {1, 2, 3}) {
      for (const std::int64_t stop : {1, 4, 7}) {
        const Steps first = train(data, before, 6, stop, 0);
        EXPECT_EQ(first.position, 6 * stop);
        Steps all = train(data, after, 6, 12 - stop, first.position);
        all.rows.insert(all.rows.begin(), first.rows.begin(), first.rows.end());
        EXPECT_EQ(all.rows, whole.rows) << before << " ranks, then " << after;
      }
    }
  }
}

}  // namespace
}  // namespace distill::data
