#include "teachers/kept_answer.h"

#include <cmath>

#include <gtest/gtest.h>

#include "support/temp_folder.h"
#include "teachers/model_watch.h"

namespace distill::teachers::detail {
namespace {

using testing::message_of;

/// Two positions of `count` ids each; the even ones are the likelier.
PromptScores scores(std::int64_t count) {
  PromptScores scores;
  scores.fingerprint = "v1 \"quoted\"";
  scores.log_probs.resize(3);
  for (std::size_t t = 1; t < 3; ++t) {
    for (std::int64_t id = 0; id < count; ++id) {
      const double rank = static_cast<double>(id % 2 == 0 ? id / 2 : count + id);
      scores.log_probs[t].push_back({id, -1.0 / 3 - rank - static_cast<double>(t)});
    }
  }
  return scores;
}

TEST(KeptAnswer, IsReadBackAsItWasToTheLastBit) {
  const KeptAnswer kept = kept_answer({5, 7, 9}, 4, scores(4));
  const KeptAnswer read = parse_kept_answer(to_text(kept));
  EXPECT_EQ(read.probe, (std::vector<std::int64_t>{5, 7, 9}));
  EXPECT_EQ(read.top_k, 4);
  EXPECT_EQ(read.scores.fingerprint, "v1 \"quoted\"");
  ASSERT_EQ(read.scores.log_probs.size(), 3u);
  EXPECT_TRUE(read.scores.log_probs[0].empty());
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(read.scores.log_probs[2][i].id, kept.scores.log_probs[2][i].id);
    EXPECT_EQ(read.scores.log_probs[2][i].log_prob, kept.scores.log_probs[2][i].log_prob);
  }
  EXPECT_EQ(distance(read.scores, scores(4)), 0);
}

TEST(KeptAnswer, HoldsTheLikeliestIdsAlone) {
  const KeptAnswer few = kept_answer({5, 7, 9}, 3, scores(4));
  ASSERT_EQ(few.scores.log_probs[1].size(), 3u) << "the text's own token came on top";
  EXPECT_EQ(few.scores.log_probs[1][1].id, 1);
  const KeptAnswer many = kept_answer({5, 7, 9}, 200, scores(200));
  EXPECT_EQ(many.top_k, 64);
  ASSERT_EQ(many.scores.log_probs[1].size(), 64u);
  for (std::int64_t i = 0; i < 64; ++i) {
    EXPECT_EQ(many.scores.log_probs[1][static_cast<std::size_t>(i)].id, 2 * i);
  }
}

TEST(KeptAnswer, WhatIsNoneIsRefused) {
  const std::string good = to_text(kept_answer({5, 7, 9}, 4, scores(4)));
  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return message_of<FormatError>([&] { parse_kept_answer(text.replace(at, from.size(), to)); });
  };
  EXPECT_NE(refused("\"server\"", "\"process\"").find("is not of kind `server`"),
            std::string::npos);
  refused("\"format_version\":1", "\"format_version\":2");
  refused("\"top_k\":4", "\"top_k\":0");
  refused("\"top_k\":4", "\"top_k\":3");
  refused("[5,7,9]", "[5,7]");
  refused("[5,7,9]", "[5,7,-1]");
  refused("[0,1,2,3]", "[0,1,1,3]");
  refused("[0,1,2,3]", "[0,1,2]");
  refused("[-1.3", "[1.3");
  refused("}]}", "}]");
  EXPECT_THROW(parse_kept_answer(""), FormatError);
}

}  // namespace
}  // namespace distill::teachers::detail
