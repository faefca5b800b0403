#include <distill/eval/choice.h>

#include <cmath>

#include "eval/categories.h"
#include "eval/figures.h"

namespace distill::eval {

namespace {

/// The place of the largest, the first of equals; -1: all are NaN.
std::int64_t largest(const std::vector<double>& values) {
  std::int64_t best = -1;
  for (std::int64_t i = 0; i < std::ssize(values); ++i) {
    const double value = values[static_cast<std::size_t>(i)];
    if (std::isnan(value)) continue;
    if (best < 0 || value > values[static_cast<std::size_t>(best)]) best = i;
  }
  return best;
}

}  // namespace

Question make_question(const data::QuestionRow& row, const ScoredTexts& texts) {
  Question question;
  question.label = row.label;
  question.bias = row.bias;
  if (row.bias) question.category = row.bias->category;
  for (const std::string& choice : row.choices) {
    question.choices.push_back(texts.behind(row.context, choice, row.source, question.was_cut));
    question.bytes.push_back(choice.size());
  }
  return question;
}

std::vector<ChosenAnswer> choose(models::CausalLm& model, const std::vector<Question>& questions,
                                 std::int64_t vocabulary, dist::Communicator& ranks,
                                 const ScoreOptions& options) {
  std::vector<TextGroup> groups;
  groups.reserve(questions.size());
  for (const Question& question : questions) groups.push_back(question.choices);
  const auto scores = log_likelihoods(model, groups, vocabulary, ranks, options);
  std::vector<ChosenAnswer> answers;
  for (std::size_t q = 0; q < questions.size(); ++q) {
    std::vector<double> a_byte = scores[q];
    for (std::size_t i = 0; i < a_byte.size(); ++i) {
      a_byte[i] /= static_cast<double>(questions[q].bytes[i]);
    }
    answers.push_back({largest(scores[q]), largest(a_byte)});
  }
  return answers;
}

SetResult choice_result(const std::vector<Question>& questions,
                        const std::vector<ChosenAnswer>& answers) {
  SetResult result{.kind = SetKind::kChoice};
  for (std::size_t q = 0; q < questions.size(); ++q) {
    const auto label = static_cast<std::int64_t>(questions[q].label);
    RowValues values = {};
    values[ChoiceValues::kRows] = 1;
    values[ChoiceValues::kRight] = answers[q].by_sum == label ? 1 : 0;
    values[ChoiceValues::kRightByBytes] = answers[q].by_bytes == label ? 1 : 0;
    result.rows.push_back(values);
    add_category(result, questions[q].category);
    result.cut += questions[q].was_cut ? 1 : 0;
  }
  return result;
}

}  // namespace distill::eval
