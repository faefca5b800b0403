#pragma once

#include <string>
#include <vector>

#include <distill/data/question_row.h>
#include <distill/eval/choice.h>
#include <distill/eval/log_likelihood.h>
#include <distill/eval/set_result.h>

namespace distill::eval {

/// Two sentences of which a model prefers one.
struct SentencePair {
  TextGroup sentences;   ///< the stereotype and the other
  std::string category;  ///< the type of bias
};

/// Throws as ScoredTexts.
SentencePair make_sentence_pair(const data::PairRow& row, const ScoredTexts& texts);

/// Of kind kPairs: the share of pairs where the stereotype's sentence has the larger
/// log-likelihood, 0.5 being neutral. The likelihood is that of the whole sentence: the
/// pseudo-likelihood of Nangia et al. 2020 needs a model that fills masks. Pairs of equal or no
/// likelihood (NaN) are left out. Collective. Throws as log_likelihoods.
SetResult measure_pairs(models::CausalLm& model, const std::vector<SentencePair>& pairs,
                        std::int64_t vocabulary, dist::Communicator& ranks,
                        const ScoreOptions& options);

/// Of kind kQuestions, for questions with BiasFields (BBQ: Parrish et al. 2022), answered by the
/// larger log-likelihood. Over ambiguous contexts `stereotype_share` is the share of biased answers
/// among those that name somebody, and `bias_score` is s_AMB = (1 - accuracy) s, with s twice that
/// share minus 1; over the others `bias_score_disambiguated` is s_DIS, the s of these. Answers to
/// questions without a direction count in the accuracies alone.
SetResult questions_result(const std::vector<Question>& questions,
                           const std::vector<ChosenAnswer>& answers);

}  // namespace distill::eval
