#include <distill/eval/choice.h>

#include <gtest/gtest.h>

#include <distill/eval/bias.h>
#include <distill/eval/set_summary.h>

#include "support/byte_tokenizer.h"
#include "support/toy_model.h"

namespace distill::eval {
namespace {

using testing::ByteTokenizer;
using testing::ToyModel;

std::vector<ChosenAnswer> answer(models::CausalLm& model, const std::vector<Question>& questions) {
  const auto ranks = dist::make_single();
  return choose(model, questions, ByteTokenizer::kVocabSize, *ranks, {.share_beginnings = false});
}

Question question(const std::string& context, const std::vector<std::string>& choices,
                  std::size_t label = 0) {
  static const ByteTokenizer kTokenizer;
  return make_question({context, choices, label, "f:1"}, ScoredTexts(kTokenizer, 1000));
}

// All ids are alike: the likelihood of a choice is its number of bytes.
TEST(Choice, ShorterWinsBySumAndNoneByBytes) {
  ToyModel uniform({.scale = 0});
  const auto answers = answer(
      uniform, {question("a", {"long one", "short", "other"}, 1), question("", {"xx", "x"})});
  EXPECT_EQ(answers[0].by_sum, 1);  // of equal ones the first
  EXPECT_EQ(answers[0].by_bytes, 0);
  EXPECT_EQ(answers[1].by_sum, 1);
  EXPECT_EQ(answers[1].by_bytes, 0);
}

TEST(Choice, TheLikeliestByABruteForce) {
  ToyModel model({.seed = 5, .dtype = at::kDouble, .scale = 3});
  std::vector<Question> questions;
  for (const char* context : {"", "When", "How many", "x"}) {
    questions.push_back(question(context, {" a", " bcd", " efghij", "klm"}));
  }
  const auto answers = answer(model, questions);
  const auto ranks = dist::make_single();
  for (std::size_t q = 0; q < questions.size(); ++q) {
    std::size_t best = 0, best_by_bytes = 0;
    std::vector<double> sums, means;
    for (std::size_t c = 0; c < questions[q].choices.size(); ++c) {
      const std::vector<TextGroup> alone = {{questions[q].choices[c]}};
      sums.push_back(log_likelihoods(model, alone, 260, *ranks, {})[0][0]);
      means.push_back(sums.back() / static_cast<double>(questions[q].bytes[c]));
      if (sums[c] > sums[best]) best = c;
      if (means[c] > means[best_by_bytes]) best_by_bytes = c;
    }
    EXPECT_EQ(answers[q].by_sum, static_cast<std::int64_t>(best));
    EXPECT_EQ(answers[q].by_bytes, static_cast<std::int64_t>(best_by_bytes));
  }
}

TEST(Choice, AModelThatIsNotFiniteIsNeverRight) {
  ToyModel broken;
  broken.parameters()[1].tensor.detach().fill_(std::numeric_limits<float>::quiet_NaN());
  const std::vector<Question> questions = {question("a", {"b", "c"})};
  const auto answers = answer(broken, questions);
  EXPECT_EQ(answers[0].by_sum, -1);
  EXPECT_EQ(summarise(choice_result(questions, answers)).value("accuracy"), 0);
}

TEST(Choice, FiguresCountWhatIsRight) {
  const std::vector<Question> questions = {
      question("a", {"b", "c"}, 0), question("a", {"b", "c"}, 1), question("a", {"b", "c"}, 1)};
  const auto summary = summarise(choice_result(questions, {{0, 1}, {1, 1}, {0, 1}}));
  EXPECT_EQ(summary.rows, 3);
  EXPECT_NEAR(summary.value("accuracy"), 2.0 / 3, 1e-12);
  EXPECT_NEAR(summary.value("accuracy_norm"), 2.0 / 3, 1e-12);
  EXPECT_TRUE(summary.categories.empty());
}

/// Choices: unknown, the stereotyped, the others.
Question about(bool ambiguous, bool negative, std::size_t label) {
  Question asked = question("c", {"?", "s", "o"}, label);
  asked.category = ambiguous ? "a" : "d";
  using enum data::ChoiceRole;
  asked.bias =
      data::BiasFields{asked.category, ambiguous, negative, {kUnknown, kStereotyped, kOther}};
  return asked;
}

TEST(Bias, ScoresOfQuestionsAreThoseOfThePaper) {
  // Ambiguous: of four, one right (unknown), three name somebody, two of them as a stereotype does.
  const std::vector<Question> questions = {about(true, true, 0),  about(true, true, 0),
                                           about(true, false, 0), about(true, false, 0),
                                           about(false, true, 2), about(false, false, 2)};
  const std::vector<ChosenAnswer> answers = {{0, 0}, {1, 0}, {2, 2}, {1, 1}, {2, 2}, {2, 2}};
  const auto summary = summarise(questions_result(questions, answers));
  EXPECT_DOUBLE_EQ(summary.value("accuracy_ambiguous"), 0.25);
  EXPECT_NEAR(summary.value("stereotype_share"), 2.0 / 3, 1e-12);
  EXPECT_NEAR(summary.value("bias_score"), (1 - 0.25) * (2 * 2.0 / 3 - 1), 1e-12);
  EXPECT_DOUBLE_EQ(summary.value("accuracy_disambiguated"), 1);
  EXPECT_NEAR(summary.value("bias_score_disambiguated"), 0, 1e-12);  // one of two
  EXPECT_DOUBLE_EQ(summary.value("accuracy"), 0.5);
  EXPECT_DOUBLE_EQ(summary.value("accuracy_norm"), 4.0 / 6);
  ASSERT_EQ(summary.categories.size(), 2u);
  EXPECT_EQ(summary.categories[0].rows, 4);
}

TEST(Bias, AModelThatNamesNobodyHasNoBias) {
  const std::vector<Question> questions = {about(true, true, 0), about(true, false, 0)};
  const auto summary = summarise(questions_result(questions, {{0, 0}, {0, 0}}));
  EXPECT_EQ(summary.value("bias_score"), 0);
  EXPECT_TRUE(std::isnan(summary.value("stereotype_share")));
  EXPECT_TRUE(std::isnan(summary.value("accuracy_disambiguated")));
}

TEST(Bias, ThePreferredSentenceIsTheLikelierOne) {
  const ByteTokenizer tokenizer;
  const ScoredTexts texts(tokenizer, 1000);
  const auto ranks = dist::make_single();
  ToyModel uniform({.scale = 0});  // prefers what is shorter
  const std::vector<SentencePair> pairs = {
      make_sentence_pair({"aa", "aaa", "age", "f:1"}, texts),
      make_sentence_pair({"aaaa", "aaa", "age", "f:2"}, texts),
      make_sentence_pair({"aaa", "bbb", "gender", "f:3"}, texts),  // neither
      make_sentence_pair({"a", "bb", "gender", "f:4"}, texts)};
  const auto summary = summarise(measure_pairs(uniform, pairs, ByteTokenizer::kVocabSize, *ranks,
                                               {.share_beginnings = false}));
  EXPECT_NEAR(summary.value("stereotype_share"), 2.0 / 3, 1e-12);
  ASSERT_EQ(summary.categories.size(), 2u);
  EXPECT_DOUBLE_EQ(summary.categories[0].figures[0].value, 0.5);
  EXPECT_DOUBLE_EQ(summary.categories[1].figures[0].value, 1);
  EXPECT_EQ(summary.categories[1].rows, 2);
}

}  // namespace
}  // namespace distill::eval
