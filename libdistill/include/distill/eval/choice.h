#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <distill/data/question_row.h>
#include <distill/eval/log_likelihood.h>
#include <distill/eval/set_result.h>

namespace distill::eval {

/// A question as a model reads it.
struct Question {
  TextGroup choices;               ///< each behind the context
  std::vector<std::size_t> bytes;  ///< of each choice
  std::size_t label = 0;           ///< the right one
  std::string category;            ///< empty: of none
  std::optional<data::BiasFields> bias = {};
  bool was_cut = false;  ///< the context lost its beginning
};

/// Throws as ScoredTexts.
Question make_question(const data::QuestionRow& row, const ScoredTexts& texts);

/// What a model chooses: the place of a choice, or -1 where no choice has a likelihood (NaN).
struct ChosenAnswer {
  std::int64_t by_sum = -1;    ///< the largest log-likelihood
  std::int64_t by_bytes = -1;  ///< the largest log-likelihood a byte of the choice
};

/// Multiple choice by likelihood: each choice is scored behind the context; of equal ones the first
/// is chosen. Collective. Throws as log_likelihoods.
std::vector<ChosenAnswer> choose(models::CausalLm& model, const std::vector<Question>& questions,
                                 std::int64_t vocabulary, dist::Communicator& ranks,
                                 const ScoreOptions& options);

/// Of kind kChoice: accuracy by the sum, accuracy_norm by the sum a byte.
SetResult choice_result(const std::vector<Question>& questions,
                        const std::vector<ChosenAnswer>& answers);

}  // namespace distill::eval
