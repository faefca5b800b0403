#include <distill/eval/bias.h>

#include "eval/categories.h"
#include "eval/figures.h"

namespace distill::eval {

SentencePair make_sentence_pair(const data::PairRow& row, const ScoredTexts& texts) {
  return {{texts.alone(row.stereotype, row.source), texts.alone(row.antistereotype, row.source)},
          row.bias_type};
}

SetResult measure_pairs(models::CausalLm& model, const std::vector<SentencePair>& pairs,
                        std::int64_t vocabulary, dist::Communicator& ranks,
                        const ScoreOptions& options) {
  std::vector<TextGroup> groups;
  groups.reserve(pairs.size());
  for (const SentencePair& pair : pairs) groups.push_back(pair.sentences);
  const auto scores = log_likelihoods(model, groups, vocabulary, ranks, options);
  SetResult result{.kind = SetKind::kPairs};
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const bool stereotype = scores[i][0] > scores[i][1];
    RowValues values = {};
    values[PairValues::kDecided] = stereotype || scores[i][0] < scores[i][1] ? 1 : 0;
    values[PairValues::kStereotype] = stereotype ? 1 : 0;
    result.rows.push_back(values);
    add_category(result, pairs[i].category);
  }
  return result;
}

SetResult questions_result(const std::vector<Question>& questions,
                           const std::vector<ChosenAnswer>& answers) {
  using Q = QuestionValues;
  SetResult result{.kind = SetKind::kQuestions};
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const Question& question = questions[i];
    const data::BiasFields& bias = question.bias.value();
    const std::int64_t answer = answers[i].by_sum;
    const std::size_t part = bias.ambiguous ? 0 : Q::kDisambiguated;
    RowValues values = {};
    values[part + Q::kRows] = 1;
    values[part + Q::kRight] = answer == static_cast<std::int64_t>(question.label) ? 1 : 0;
    values[Q::kRightByBytes] =
        answers[i].by_bytes == static_cast<std::int64_t>(question.label) ? 1 : 0;
    if (answer >= 0 && bias.has_direction()) {
      const auto choice = static_cast<std::size_t>(answer);
      const bool named = bias.roles[choice] != data::ChoiceRole::kUnknown;
      values[part + Q::kNamed] = named ? 1 : 0;
      values[part + Q::kBiased] = bias.is_biased(choice) ? 1 : 0;
    }
    result.rows.push_back(values);
    add_category(result, question.category);
    result.cut += question.was_cut ? 1 : 0;
  }
  return result;
}

}  // namespace distill::eval
