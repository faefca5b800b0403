#include "teachers/model_watch.h"

#include <cmath>

#include <gtest/gtest.h>

namespace distill::teachers::detail {
namespace {

using Entries = std::vector<TokenLogProb>;

/// Answers about one prompt of two tokens; probabilities by id.
PromptScores answer(const std::vector<std::pair<std::int64_t, double>>& probabilities) {
  Entries entries;
  for (const auto& [id, p] : probabilities) entries.push_back({id, std::log(p)});
  PromptScores scores;
  scores.log_probs = {{}, entries};
  return scores;
}

TEST(Distance, IsTheTotalVariationOfWhatBothList) {
  const auto a = answer({{1, 0.5}, {2, 0.3}, {3, 0.2}});
  EXPECT_EQ(distance(a, a), 0.0);
  EXPECT_NEAR(distance(a, answer({{1, 0.2}, {2, 0.3}, {3, 0.5}})), 0.3, 1e-12);
  EXPECT_NEAR(distance(answer({{1, 0.2}, {2, 0.3}, {3, 0.5}}), a), 0.3, 1e-12);
}

// Even where the lists have no id in common.
TEST(Distance, AnotherModelIsFarAway) {
  EXPECT_NEAR(distance(answer({{1, 0.9}, {2, 0.05}}), answer({{7, 0.9}, {8, 0.05}})), 0.85, 1e-12);
  EXPECT_NEAR(distance(answer({{1, 0.9}}), answer({{7, 0.3}})), 0.3, 1e-12);
}

// Of two ids that are nearly as likely, rounding may list either; the token of the text is listed
// however unlikely it is.
TEST(Distance, IdsThatChangePlacesAtTheEndOfTheListAreNear) {
  EXPECT_LT(distance(answer({{1, 0.41}}), answer({{2, 0.42}})), 0.01);
  EXPECT_LT(distance(answer({{1, 0.6}, {2, 0.2}, {9, 1e-6}}), answer({{1, 0.6}, {3, 0.2}})), 0.01);
  EXPECT_LT(distance(answer({{1, 0.6}, {3, 0.2}}), answer({{1, 0.6}, {2, 0.2}, {9, 1e-6}})), 0.01);
}

TEST(Distance, AnswersOfOtherLengthsHaveNothingInCommon) {
  PromptScores longer = answer({{1, 0.9}});
  longer.log_probs.push_back(longer.log_probs.back());
  EXPECT_EQ(distance(answer({{1, 0.9}}), longer), 1.0);
}

}  // namespace
}  // namespace distill::teachers::detail
