#include <distill/io/signal_rows.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include "io/bit_stream.h"
#include "support/temp_folder.h"

namespace distill::io {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(BitStream, GivesBackNumbersOfAnyWidth) {
  core::RandomState random(1);
  struct Item {
    bool golomb;
    int bits;  ///< width, or order
    std::uint64_t value;
  };
  std::vector<Item> items;
  for (int i = 0; i < 5000; ++i) {
    const bool golomb = random.below(2) == 0;
    const int bits = static_cast<int>(golomb ? random.below(20) : random.below(33));
    const auto value = golomb ? random.below(std::uint64_t{1} << random.below(32))
                              : random.below(std::uint64_t{1} << bits);
    items.push_back({golomb, bits, value});
  }
  std::vector<std::byte> bytes;
  BitWriter out(bytes);
  std::uint64_t num_bits = 0;
  for (const auto& item : items) {
    item.golomb ? out.put_golomb(item.value, item.bits) : out.put(item.value, item.bits);
    num_bits +=
        static_cast<std::uint64_t>(item.golomb ? golomb_bits(item.value, item.bits) : item.bits);
  }
  out.finish();
  EXPECT_EQ(bytes.size(), (num_bits + 7) / 8);
  BitReader in(bytes);
  for (const auto& item : items) {
    ASSERT_EQ(item.golomb ? in.take_golomb(item.bits) : in.take(item.bits), item.value);
  }
  EXPECT_TRUE(in.at_end());
  in.take(8);
  EXPECT_TRUE(in.overrun());
}

std::vector<std::int64_t> some_ids(core::RandomState& random, std::size_t count,
                                   std::int64_t vocabulary) {
  std::set<std::int64_t> ids;
  while (ids.size() < count) {
    ids.insert(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(vocabulary))));
  }
  return {ids.begin(), ids.end()};
}

/// Log-probabilities of `count` ids that leave `others` to the rest.
std::vector<double> some_log_probs(core::RandomState& random, std::size_t count, double others,
                                   double scale) {
  std::vector<double> x;
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    x.push_back(std::exp(scale * random.uniform()));
    sum += x.back();
  }
  for (double& value : x) value = std::log(value / sum * (1 - others));
  return x;
}

TEST(SignalRows, TopKComesBackWithinItsStatedError) {
  core::RandomState random(2);
  for (const std::int64_t vocabulary : {40, 50'000, 1 << 20}) {
    for (const double others : {0.0, 1e-20, 1e-6, 0.3, 0.7, 1 - 1e-7}) {
      constexpr std::size_t kK = 12;
      constexpr std::int64_t kPositions = 9;
      TopKRows rows;
      for (int p = 0; p < kPositions; ++p) {
        for (const auto id : some_ids(random, kK, vocabulary)) rows.ids.push_back(id);
        for (const auto x : some_log_probs(random, kK, others, 9)) rows.log_probs.push_back(x);
        rows.log_others.push_back(std::log(others));
      }
      const auto bytes = encode_top_k(rows, kPositions);
      const auto back = decode_top_k(bytes, kPositions, kK, vocabulary, "x");
      EXPECT_EQ(back.ids, rows.ids);
      for (std::size_t i = 0; i < rows.log_probs.size(); ++i) {
        // Below -32 there is one value for all.
        if (rows.log_probs[i] < -31) continue;
        EXPECT_NEAR(back.log_probs[i], rows.log_probs[i], 1.0 / 128) << others;
      }
      for (std::size_t p = 0; p < kPositions; ++p) {
        double listed = 0;
        for (std::size_t i = p * kK; i < (p + 1) * kK; ++i) listed += std::exp(back.log_probs[i]);
        EXPECT_NEAR(listed + std::exp(back.log_others[p]), 1, 1e-12);
        if (others == 0) {
          EXPECT_EQ(back.log_others[p], -kInfinity);
        } else if (others < 0.5) {
          EXPECT_NEAR(back.log_others[p], std::log(others), 1.0 / 1024);
        } else {
          EXPECT_NEAR(std::log(listed), std::log1p(-others), 1.0 / 1024);
        }
      }
    }
  }
}

SampledRow random_sample(core::RandomState& random, std::int64_t draws, bool leads) {
  SampledRow row;
  const auto least = 1.0 / static_cast<double>(draws);
  row.ids = some_ids(random, 6, 3000);
  row.probabilities = {least * 1.5,  least * 0.3, least, leads ? 0.6 : least * 2.2,
                       least * 0.01, least * 1.01};
  row.mean_log_prob_of_rest = std::log(least) - 3.3;
  return row;
}

TEST(SignalRows, SampledWeightsKeepTheirExpectedValues) {
  constexpr std::int64_t kDraws = 24;
  constexpr int kTrials = 40'000;
  core::RandomState random(3);
  for (const bool leads : {false, true}) {
    const SampledRow row = random_sample(random, kDraws, leads);
    std::vector<double> sums(row.ids.size());
    double mean_sum = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      const auto bytes = encode_sampled(std::span(&row, 1), kDraws, random);
      const auto back = decode_sampled(bytes, 1, kDraws, 3000, "x");
      ASSERT_EQ(back.ids, row.ids);
      double all = 0;
      for (std::size_t i = 0; i < sums.size(); ++i) {
        sums[i] += back.weights[i];
        all += back.weights[i];
      }
      if (leads) {
        ASSERT_NEAR(all, 1, 1e-12);
      }
      mean_sum += back.log_probs[1];
    }
    const double least = 1.0 / kDraws;
    double others = 0;
    for (const std::size_t i : {0U, 2U, 5U}) {
      // Half a step of the grid (2.6 %) over the root of the trials.
      EXPECT_NEAR(sums[i] / kTrials, row.probabilities[i], 5 * 0.013 * least * 2 / 200) << i;
      others += sums[i] / kTrials;
    }
    EXPECT_NEAR(sums[1] / kTrials, least, 1e-9) << "what was kept by chance stands for 1 / draws";
    EXPECT_NEAR(sums[3] / kTrials, leads ? 1 - others - 2 * least : row.probabilities[3], 1e-4);
    EXPECT_NEAR(mean_sum / kTrials, row.mean_log_prob_of_rest, 5 * 0.0625 / 200);
  }
}

TEST(SignalRows, SampledRowsComeBack) {
  core::RandomState random(4);
  for (const std::int64_t draws : {4, 24, 4096}) {
    std::vector<SampledRow> rows;
    for (int p = 0; p < 20; ++p) rows.push_back(random_sample(random, draws, p % 2 == 0));
    if (draws == 4) {
      for (auto& row : rows) row = {{0, 2999}, {0.9, 0.1}, -2};
    }
    const auto bytes = encode_sampled(rows, draws, random);
    const auto back = decode_sampled(bytes, 20, draws, 3000, "x");
    ASSERT_EQ(back.begins.size(), 21U);
    for (std::size_t p = 0; p < rows.size(); ++p) {
      const auto begin = static_cast<std::size_t>(back.begins[p]);
      ASSERT_EQ(back.begins[p + 1] - back.begins[p], std::ssize(rows[p].ids));
      for (std::size_t i = 0; i < rows[p].ids.size(); ++i) {
        EXPECT_EQ(back.ids[begin + i], rows[p].ids[i]);
        const bool listed = rows[p].probabilities[i] >= 1.0 / static_cast<double>(draws);
        if (listed && rows[p].probabilities[i] < 0.5) {
          // A step of the grid.
          const double step = std::log(static_cast<double>(draws)) / 126;
          EXPECT_NEAR(std::log(back.weights[begin + i]), std::log(rows[p].probabilities[i]), step);
          EXPECT_NEAR(back.log_probs[begin + i], std::log(back.weights[begin + i]), 1e-12);
        }
      }
    }
  }
}

TEST(SignalRows, RefusesBytesThatAreNoRows) {
  core::RandomState random(5);
  const SampledRow row = random_sample(random, 24, true);
  auto bytes = encode_sampled(std::span(&row, 1), 24, random);
  EXPECT_EQ(testing::message_of<FormatError>([&] { decode_sampled(bytes, 1, 24, 3, "F"); }),
            "F: holds an id that is not below 3");
  EXPECT_EQ(testing::message_of<FormatError>([&] { decode_sampled({}, 1, 24, 3000, "F"); }),
            "F: does not end where its 1 positions do");
  bytes.push_back({});
  EXPECT_EQ(testing::message_of<FormatError>([&] { decode_sampled(bytes, 1, 24, 3000, "F"); }),
            "F: does not end where its 1 positions do");
  EXPECT_EQ(testing::message_of<FormatError>(
                [&] { decode_top_k(bytes, std::int64_t{1} << 40, 60'000, 1 << 20, "F"); }),
            "F: is cut off, it should hold 1099511627776 positions");
  EXPECT_EQ(testing::message_of<FormatError>([&] {
              decode_top_k(bytes, 1, 3, 3000, "F");
            }).starts_with("F: "),
            true);
}

}  // namespace
}  // namespace distill::io
