#include "models/sampler.h"

#include <cmath>
#include <limits>
#include <map>

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "support/temp_folder.h"

namespace distill::models {
namespace {

using testing::message_of;
using Logits = std::vector<float>;

/// Shares of the ids over many draws.
std::map<std::int64_t, double> shares(const Logits& logits, const SamplingOptions& options,
                                      const std::vector<std::int64_t>& prompt = {}) {
  constexpr int kDraws = 4000;
  std::map<std::int64_t, double> result;
  Sampler sampler(options, 0, prompt);
  for (int i = 0; i < kDraws; ++i) {
    Logits copy = logits;
    result[sampler.next(copy)] += 1.0 / kDraws;
  }
  return result;
}

/// log p for p = {0.1, 0.4, 0.2, 0.3}
const Logits kLogits = {std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f)};
constexpr double kSpread = 4 * 0.5 / 63;  // four standard deviations of a share in 4,000 draws

TEST(Sampler, GreedyTakesTheLikeliestAndTheSmallerOfTwoAlike) {
  Sampler sampler({}, 0, {});
  Logits logits = {1, 3, 2, 3};
  EXPECT_EQ(sampler.next(logits), 1);
}

TEST(Sampler, DrawsByTheSoftmax) {
  auto drawn = shares(kLogits, {.temperature = 1.0, .seed = 1});
  EXPECT_NEAR(drawn[0], 0.1, kSpread);
  EXPECT_NEAR(drawn[1], 0.4, kSpread);
  EXPECT_NEAR(drawn[2], 0.2, kSpread);
  EXPECT_NEAR(drawn[3], 0.3, kSpread);
  // p^2 / sum p^2
  EXPECT_NEAR(shares(kLogits, {.temperature = 0.5, .seed = 2})[1], 0.16 / 0.3, kSpread);
}

TEST(Sampler, TopKKeepsTheLikeliest) {
  auto drawn = shares(kLogits, {.temperature = 1.0, .top_k = 2, .seed = 3});
  EXPECT_EQ(drawn.size(), 2u);
  EXPECT_NEAR(drawn[1], 0.4 / 0.7, kSpread);
  EXPECT_NEAR(drawn[3], 0.3 / 0.7, kSpread);
  EXPECT_EQ(shares(kLogits, {.temperature = 1.0, .top_k = 99, .seed = 3}).size(), 4u);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  EXPECT_EQ(shares(kLogits, {.temperature = 1.0, .top_p = 0.39, .seed = 4}).size(), 1u);
  EXPECT_EQ(shares(kLogits, {.temperature = 1.0, .top_p = 0.5, .seed = 4}).size(), 2u);
  EXPECT_EQ(shares(kLogits, {.temperature = 1.0, .top_p = 0.85, .seed = 4}).size(), 3u);
  // Of what top_k leaves: 0.4 / 0.7 reaches 0.5 alone.
  EXPECT_EQ(shares(kLogits, {.temperature = 1.0, .top_k = 2, .top_p = 0.5, .seed = 4}).size(), 1u);
}

TEST(Sampler, TopPOfAFlatDistributionKeepsItsShareOfManyIds) {
  constexpr std::size_t kIds = 1000;
  Sampler sampler({.temperature = 1.0, .top_p = 0.5, .seed = 5}, 0, {});
  std::int64_t largest = 0;
  for (int i = 0; i < 5000; ++i) {
    Logits flat(kIds, 2.0f);
    largest = std::max(largest, sampler.next(flat));
  }
  EXPECT_LT(largest, 501);  // equal ids go in their order
  EXPECT_GT(largest, 480);
}

TEST(Sampler, PenalisesIdsOfThePromptAndItsOwn) {
  Sampler sampler({.repetition_penalty = 2.0}, 0, std::vector<std::int64_t>{0, 2, 0});
  Logits first = {3.0f, 2.0f, -1.0f, 1.9f};
  EXPECT_EQ(sampler.next(first), 1);  // 3 / 2 < 2
  EXPECT_FLOAT_EQ(first[0], 1.5f);
  EXPECT_FLOAT_EQ(first[2], -2.0f);
  Logits second = {3.0f, 2.0f, -1.0f, 1.9f};
  EXPECT_EQ(sampler.next(second), 3);  // now 1 is there too
}

TEST(Sampler, StreamsAreApartAndRepeat) {
  const auto sequence = [](std::uint64_t stream) {
    Sampler sampler({.temperature = 1.0, .seed = 9}, stream, {});
    std::vector<std::int64_t> ids;
    for (int i = 0; i < 40; ++i) {
      Logits logits = kLogits;
      ids.push_back(sampler.next(logits));
    }
    return ids;
  };
  EXPECT_EQ(sequence(0), sequence(0));
  EXPECT_NE(sequence(0), sequence(1));
}

TEST(Sampler, NeverDrawsWhatIsExcluded) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(shares({kNone, 0.0f, kNone}, {.temperature = 1.0, .top_k = 3, .top_p = 0.9}).size(),
            1u);
}

TEST(Sampler, RefusesLogitsThatAreNotFinite) {
  for (const float bad : {NAN, INFINITY}) {
    for (const double temperature : {0.0, 1.0}) {
      Sampler sampler({.temperature = temperature}, 0, {});
      Logits logits = {1.0f, bad, 2.0f};
      EXPECT_NE(message_of<Error>([&] { sampler.next(logits); }).find("not finite"),
                std::string::npos);
    }
  }
}

}  // namespace
}  // namespace distill::models
