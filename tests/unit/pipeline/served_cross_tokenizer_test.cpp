// Recipes with `alm` whose teacher, of another tokenizer, is behind a server.
#include <string>

#include <gtest/gtest.h>

#include <distill/io/json_value.h>
#include <distill/models/load.h>
#include <distill/text/tokenizer.h>

#include "support/score_server.h"
#include "support/shared_data.h"
#include "unit/pipeline/tiny_run.h"

namespace distill::pipeline::testing {
namespace {

using distill::testing::HttpCall;
using distill::testing::HttpServer;
using distill::testing::ScoreServer;

/// Serves a folder's model, and knows its tokenizer.
class Served {
 public:
  explicit Served(const fs::path& folder)
      : folder_(folder),
        tokenizer_(text::load_tokenizer(folder)),
        scores(models::load_causal_lm(folder, {})) {
    scores.spell = [this](std::int64_t id) { return tokenizer_->decode({id}, false); };
    scores.tokenize = [this](const std::string& text) { return tokenizer_->encode(text, false); };
  }
  std::string teacher(const std::string& more = "") const {
    return "teacher={kind: server, url: \"" + server_.url("/v1") +
           "\", model: m, tokenizer: " + folder_.string() + more + "}";
  }

 private:
  fs::path folder_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;

 public:
  ScoreServer scores;

 private:
  HttpServer server_{[this](const HttpCall& call) { return scores(call); }};
};

const std::string kLosses = "loss=[{kind: cross_entropy}, {kind: alm, weight: 0.5}]";

std::vector<std::string> with(const std::string& teacher, const std::string& loss = kLosses) {
  return {"student={model: " + kModel.string() + ", init: {from: model, keep_layers: 2}}", teacher,
          loss};
}

/// The losses of all steps.
std::vector<double> losses_of(const TinyRun& tiny) {
  std::vector<double> all;
  std::istringstream lines(read(tiny.in_run("metrics.jsonl")));
  for (std::string line; std::getline(lines, line);) {
    const auto value = io::parse_json(line, "metrics");
    const io::JsonCursor event(value, "metrics");
    if (event.has("alm")) all.push_back(event.at("alm").as_double());
  }
  return all;
}

void expect_as_local(const fs::path& model) {
  TinyRun local;
  local.run(with("teacher={kind: local, model: " + model.string() + "}"));
  Served served(model);
  TinyRun tiny;
  tiny.run(with(served.teacher()));
  const auto expected = losses_of(local);
  const auto own = losses_of(tiny);
  ASSERT_EQ(expected.size(), 12u);
  ASSERT_EQ(own.size(), 12u);
  for (std::size_t i = 0; i < own.size(); ++i) {
    EXPECT_NEAR(own[i], expected[i], 1e-4 * expected[i]) << "step " << i;
  }
  EXPECT_TRUE(
      tiny.log.has("the teacher has its own tokenizer: evaluations say nothing of it "
                   "(docs/cross_tokenizer.md)"));
}

TEST(ServedCrossTokenizer, AModelWithTheSameTokenizerTrainsAsALocalOne) {
  expect_as_local(kModel);
}

TEST(ServedCrossTokenizer, AModelWithAnotherTokenizerTrainsAsALocalOne) {
  const auto shared = distill::testing::shared_folder();
  if (!shared || !fs::exists(*shared / "models/stories260K")) {
    GTEST_SKIP() << "no shared model with another tokenizer";
  }
  expect_as_local(*shared / "models/stories260K");
}

TEST(ServedCrossTokenizer, WhatCannotWorkIsRefusedByName) {
  Served served(kModel);
  TinyRun tiny;
  const auto refused = [&](const std::vector<std::string>& recipe) {
    return message_of<ConfigError>([&] { tiny.run(recipe); });
  };
  std::string none = served.teacher();
  none.replace(none.find(", tokenizer: "), none.find('}') - none.find(", tokenizer: "), "");
  EXPECT_NE(refused(with(none)).find("teacher.tokenizer"), std::string::npos);
  const std::string uld = refused(with(served.teacher(), "loss=[{kind: alm}, {kind: uld}]"));
  EXPECT_NE(uld.find("loss.1"), std::string::npos) << uld;
  EXPECT_NE(uld.find("`uld` compares whole distributions, which a server does not give"),
            std::string::npos)
      << uld;
  const std::string unused =
      refused(with(served.teacher(", max_tokens: 100"), "loss=[{kind: forward_kl}]"));
  EXPECT_NE(unused.find("teacher.max_tokens"), std::string::npos) << unused;
  served.scores.max_tokens = 256;
  const std::string length = refused(with(served.teacher()));
  EXPECT_NE(length.find("teacher.max_tokens: 256, but the teacher's server takes 256"),
            std::string::npos)
      << length;
  EXPECT_NE(length.find("use at most 255"), std::string::npos) << length;
  served.scores.tokenize = {};
  served.scores.spell = [](std::int64_t id) { return "word" + std::to_string(id); };
  const std::string other = refused(with(served.teacher(", max_tokens: 100")));
  EXPECT_NE(other.find("its ids mean something else"), std::string::npos) << other;
  EXPECT_NE(other.find("the served model's own tokenizer as `teacher.tokenizer`"),
            std::string::npos)
      << other;
}

}  // namespace
}  // namespace distill::pipeline::testing
