#include <distill/eval/log_likelihood.h>

#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include <distill/core/random.h>
#include <distill/dist/communicator.h>
#include <distill/eval/evaluate.h>
#include <distill/io/json_value.h>
#include <distill/models/load.h>
#include <distill/models/logits.h>
#include <distill/text/tokenizer.h>

#include "support/fake_ranks.h"
#include "support/temp_folder.h"
#include "support/tensor_values.h"
#include "support/toy_model.h"

namespace distill::eval {
namespace {

using testing::FakeRanks;
using testing::ToyModel;
using Ids = std::vector<std::int64_t>;
using Scores = std::vector<std::vector<double>>;

/// Token by token from all logits of the whole text, in double.
double brute_force(models::CausalLm& model, const ScoredText& text, std::size_t vocabulary) {
  const auto output = model.forward(types::pack({text.ids}));
  const at::Tensor logits = models::logits(output, output.hidden).detach().to(at::kDouble);
  double sum = 0;
  for (std::size_t i = text.first; i < text.ids.size(); ++i) {
    auto row = testing::values<double>(logits.select(0, static_cast<std::int64_t>(i) - 1));
    row.resize(std::min(row.size(), vocabulary));
    double all = 0;
    for (const double z : row) all += std::exp(z);
    sum += row[static_cast<std::size_t>(text.ids[i])] - std::log(all);
  }
  return sum;
}

/// Groups as real ones are: choices of several tokens, of one, ones that are a beginning of
/// another, some that share nothing but the context's start, a text alone.
std::vector<TextGroup> groups_of(std::int64_t ids, std::size_t count) {
  core::RandomState random(4);
  const auto some = [&](std::size_t size) {
    Ids result;
    for (std::size_t i = 0; i < size; ++i) {
      result.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(ids))));
    }
    return result;
  };
  std::vector<TextGroup> groups;
  for (std::size_t g = 0; g < count; ++g) {
    const Ids context = some(1 + g % 7);
    TextGroup group;
    const std::size_t texts = g % 5 == 4 ? 1 : 2 + g % 3;
    for (std::size_t t = 0; t < texts; ++t) {
      ScoredText text{context, context.size()};
      if (g % 3 == 2 && t == 1) text.ids.back() = 3;  // the border lies in another token
      if (g % 3 == 2) text.first = std::max<std::size_t>(context.size() - 1, 1);
      const Ids end = some(1 + (g + t) % 4);
      text.ids.insert(text.ids.end(), end.begin(), end.end());
      group.push_back(text);
    }
    groups.push_back(group);
  }
  groups.push_back({{{1, 2, 3}, 1}, {{1, 2, 3, 4}, 1}});
  return groups;
}

Scores score(models::CausalLm& model, const std::vector<TextGroup>& groups, std::int64_t vocabulary,
             const ScoreOptions& options) {
  const auto ranks = dist::make_single();
  return log_likelihoods(model, groups, vocabulary, *ranks, options);
}

void expect_near(const Scores& found, const Scores& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t g = 0; g < found.size(); ++g) {
    ASSERT_EQ(found[g].size(), expected[g].size());
    for (std::size_t t = 0; t < found[g].size(); ++t) {
      EXPECT_NEAR(found[g][t], expected[g][t], tolerance) << g << " " << t;
    }
  }
}

Scores expected_of(models::CausalLm& model, const std::vector<TextGroup>& groups,
                   std::size_t vocabulary) {
  Scores expected;
  for (const TextGroup& group : groups) {
    expected.emplace_back();
    for (const auto& text : group) expected.back().push_back(brute_force(model, text, vocabulary));
  }
  return expected;
}

TEST(LogLikelihood, IsWhatAllLogitsOfEachTextGive) {
  const auto groups = groups_of(250, 23);
  for (const types::LogitTransform transform : {types::LogitTransform{}, {0.5, 3.0}}) {
    ToyModel model({.seed = 3, .dtype = at::kDouble, .scale = 2, .transform = transform});
    for (const std::int64_t vocabulary : {0, 255}) {
      const auto expected = expected_of(model, groups, vocabulary == 0 ? 260 : 255);
      for (const std::int64_t tokens : {1, 30, 10'000}) {
        expect_near(score(model, groups, vocabulary,
                          {.tokens_per_batch = tokens, .share_beginnings = false}),
                    expected, 1e-10);
      }
    }
  }
}

// The cache of a real model, whose attention looks at everything before.
TEST(LogLikelihood, SharedBeginningsGiveTheSame) {
  const auto model = models::load_causal_lm(
      std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference/tiny_llama", {});
  const auto groups = groups_of(200, 31);
  const auto expected = expected_of(*model, groups, 1 << 20);
  for (const std::int64_t tokens : {1, 40, 10'000}) {
    for (const bool share : {false, true}) {
      expect_near(score(*model, groups, 0, {.tokens_per_batch = tokens, .share_beginnings = share}),
                  expected, 2e-4);
    }
  }
}

// tests/reference/gen_evaluation.py; float64 there, fp32 here.
TEST(LogLikelihood, ProducesTransformersValues) {
  const auto reference = std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference";
  const auto model = models::load_causal_lm(reference / "tiny_llama", {});
  const auto tokenizer = text::load_tokenizer(reference / "tiny_llama");
  const ScoredTexts texts(*tokenizer, model->shape().max_positions);
  const io::JsonValue file = io::read_json_file(reference / "evaluation.json");
  const io::JsonCursor rows = io::JsonCursor(file, "evaluation.json").at("rows");
  ASSERT_EQ(rows.size(), 7u);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const io::JsonCursor row = rows.at(i);
    bool was_cut = false;
    const ScoredText text =
        texts.behind(row.at("context").as_string(), row.at("text").as_string(), "row", was_cut);
    EXPECT_EQ(std::ssize(text.ids) - static_cast<std::int64_t>(text.first),
              row.at("tokens").as_int());
    EXPECT_NEAR(score(*model, {{text}}, tokenizer->vocab_size(), {})[0][0],
                row.at("log_likelihood").as_double(), 1e-4);
  }
}

TEST(LogLikelihood, RanksTogetherGiveWhatOneGives) {
  const auto groups = groups_of(250, 13);
  const ToyModel::Options options{.seed = 3, .dtype = at::kDouble};
  ToyModel alone(options);
  const ScoreOptions scoring{.tokens_per_batch = 20, .share_beginnings = false};
  const auto expected = score(alone, groups, 0, scoring);
  for (const std::int64_t size : {2, 3, 40}) {
    std::vector<Scores> results(static_cast<std::size_t>(size));
    FakeRanks(size).run([&](dist::Communicator& ranks) {
      ToyModel model(options);
      results[static_cast<std::size_t>(ranks.rank())] =
          log_likelihoods(model, groups, 0, ranks, scoring);
    });
    for (const Scores& result : results) expect_near(result, expected, 1e-12);
  }
}

TEST(LogLikelihood, ReportsProgressAndStops) {
  const auto groups = groups_of(250, 13);
  ToyModel model;
  core::StopFlag stop;
  ScoreOptions options{.tokens_per_batch = 1, .share_beginnings = false, .stop = &stop};
  std::vector<std::int64_t> seen;
  options.on_progress = [&](std::int64_t done, std::int64_t total) {
    EXPECT_EQ(total, 14);
    seen.push_back(done);
    if (done == 3) stop.request(15);
  };
  EXPECT_EQ(testing::message_of<Stopped>([&] { score(model, groups, 0, options); }),
            "the evaluation was stopped after 3 of 14 rows");
  EXPECT_EQ(seen, (std::vector<std::int64_t>{1, 2, 3}));
}

TEST(LogLikelihood, IdsOfAnotherTokenizerAreRefused) {
  ToyModel model({.vocab_size = 100});
  EXPECT_EQ(testing::message_of<InputError>([&] {
              score(model, {{{{1, 100}, 1}}}, 0, {});
            }),
            "the data holds token id 100, the model has 100 ids; tokenize with the tokenizer of "
            "the model");
  EXPECT_NE(testing::message_of<InputError>([&] {
              score(model, {{{{1, 2}, 0}}}, 0, {});
            }).find("cannot be scored from token 0"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::eval
